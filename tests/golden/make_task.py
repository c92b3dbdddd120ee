"""Makes tests/golden/task_tiny: what transformers says about small random task models.

    venv/bin/python tests/golden/make_task.py [FAMILY ...]     (the environment of make.py; bert, electra, roberta, distilbert: only these)

For BERT, ELECTRA, RoBERTa and DistilBERT, of each ...ForSequenceClassification (three classes; RoBERTa also one score), ...ForQuestionAnswering
and ...ForTokenClassification (three tags): a folder with config.json and model.safetensors as `save_pretrained` writes them and case.json with inputs, logits and loss, computed in f64
from the stored f32 weights. Dropout is 0.
"""

import json
import pathlib
import sys

import torch
import transformers

HERE = pathlib.Path(__file__).resolve().parent / "task_tiny"
BATCH, LENGTH, VOCAB, CLASSES = 3, 9, 24, 3


def sizes_of_bert(**more):
    return dict(vocab_size=VOCAB, hidden_size=12, num_hidden_layers=2, num_attention_heads=2, intermediate_size=20,
                max_position_embeddings=16, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, classifier_dropout=None, **more)


def sizes_of_distilbert(**more):
    return dict(vocab_size=VOCAB, dim=12, n_layers=2, n_heads=2, hidden_dim=20, max_position_embeddings=16, dropout=0.0,
                attention_dropout=0.0, **more)


def make(name, cls, config, spans, tags=False):
    torch.manual_seed(len(name))
    model = cls(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.3)
    model.eval()
    folder = HERE / name
    model.save_pretrained(folder)
    model = cls.from_pretrained(folder).double().eval()
    ids = torch.randint(5, VOCAB, (BATCH, LENGTH))
    token_type = torch.zeros_like(ids)
    token_type[:, 5:] = 1
    attention = torch.ones_like(ids)
    attention[1, 6:] = 0
    if config.model_type == "roberta":
        # One segment; positions count the tokens that are not padding, by id.
        token_type[:] = 0
        ids[attention == 0] = config.pad_token_id
    if config.model_type == "distilbert":
        token_type[:] = 0
    inputs = dict(input_ids=ids, token_type_ids=token_type, attention_mask=attention)
    case = {key: value.tolist() for key, value in inputs.items()}
    if config.model_type == "distilbert":
        inputs.pop("token_type_ids")
    if spans:
        case["start"], case["end"] = [0, 2, 4], [0, 5, 7]
        out = model(**inputs, start_positions=torch.tensor(case["start"]), end_positions=torch.tensor(case["end"]))
        case["start_logits"], case["end_logits"] = out.start_logits.tolist(), out.end_logits.tolist()
    else:
        # A tag of -100 does not count.
        case["labels"] = [[(i + 2 * r) % CLASSES if 0 < i < 6 else -100 for i in range(LENGTH)] for r in range(BATCH)] if tags else [2, 0, 1]
        if config.num_labels == 1:
            case["labels"] = [0.5, -1.0, 2.0]
        out = model(**inputs, labels=torch.tensor(case["labels"]))
        case["logits"] = out.logits.tolist()
    case["loss"] = out.loss.item()
    case["versions"] = {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__}
    (folder / "case.json").write_text(json.dumps(case) + "\n")


def main():
    t = transformers
    families = {
        "bert": (t.BertConfig, {}, t.BertForSequenceClassification, t.BertForQuestionAnswering, t.BertForTokenClassification),
        "electra": (t.ElectraConfig, {"embedding_size": 8}, t.ElectraForSequenceClassification, t.ElectraForQuestionAnswering,
                    t.ElectraForTokenClassification),
        "roberta": (t.RobertaConfig, {"type_vocab_size": 1, "layer_norm_eps": 1e-5}, t.RobertaForSequenceClassification,
                    t.RobertaForQuestionAnswering, t.RobertaForTokenClassification),
        "distilbert": (t.DistilBertConfig, {}, t.DistilBertForSequenceClassification, t.DistilBertForQuestionAnswering,
                       t.DistilBertForTokenClassification),
    }
    for family in sys.argv[1:] or families:
        config, more, classifier, spans, tags = families[family]
        sizes = sizes_of_distilbert if family == "distilbert" else sizes_of_bert
        make(f"{family}_classifier", classifier, config(**sizes(num_labels=CLASSES, **more)), False)
        make(f"{family}_spans", spans, config(**sizes(**more)), True)
        make(f"{family}_tags", tags, config(**sizes(num_labels=CLASSES, **more)), False, tags=True)
    if "roberta" in (sys.argv[1:] or families):
        config, more, classifier, *_ = families["roberta"]
        make("roberta_score", classifier, config(**sizes_of_bert(num_labels=1, **more)), False)


main()
