"""Makes tests/golden/task_tiny: what transformers says about small random task models.

    venv/bin/python tests/golden/make_task.py      (the environment of make.py)

For each of BertForSequenceClassification, ElectraForSequenceClassification (three classes), the two ...ForQuestionAnswering and the
two ...ForTokenClassification (three tags): a folder with config.json and model.safetensors as `save_pretrained` writes them and case.json with inputs, logits and loss, computed in f64
from the stored f32 weights. Dropout is 0.
"""

import json
import pathlib

import torch
import transformers

HERE = pathlib.Path(__file__).resolve().parent / "task_tiny"
BATCH, LENGTH, VOCAB, CLASSES = 3, 9, 24, 3


def sizes(**more):
    return dict(vocab_size=VOCAB, hidden_size=12, num_hidden_layers=2, num_attention_heads=2, intermediate_size=20,
                max_position_embeddings=16, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, classifier_dropout=None, **more)


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
    inputs = dict(input_ids=ids, token_type_ids=token_type, attention_mask=attention)
    case = {key: value.tolist() for key, value in inputs.items()}
    if spans:
        case["start"], case["end"] = [0, 2, 4], [0, 5, 7]
        out = model(**inputs, start_positions=torch.tensor(case["start"]), end_positions=torch.tensor(case["end"]))
        case["start_logits"], case["end_logits"] = out.start_logits.tolist(), out.end_logits.tolist()
    else:
        # A tag of -100 does not count.
        case["labels"] = [[(i + 2 * r) % CLASSES if 0 < i < 6 else -100 for i in range(LENGTH)] for r in range(BATCH)] if tags else [2, 0, 1]
        out = model(**inputs, labels=torch.tensor(case["labels"]))
        case["logits"] = out.logits.tolist()
    case["loss"] = out.loss.item()
    case["versions"] = {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__}
    (folder / "case.json").write_text(json.dumps(case) + "\n")


def main():
    t = transformers
    bert, electra = t.BertConfig(**sizes(num_labels=CLASSES)), t.ElectraConfig(**sizes(embedding_size=8, num_labels=CLASSES))
    make("bert_classifier", t.BertForSequenceClassification, bert, False)
    make("electra_classifier", t.ElectraForSequenceClassification, electra, False)
    bert, electra = t.BertConfig(**sizes()), t.ElectraConfig(**sizes(embedding_size=8))
    make("bert_spans", t.BertForQuestionAnswering, bert, True)
    make("electra_spans", t.ElectraForQuestionAnswering, electra, True)
    bert, electra = t.BertConfig(**sizes(num_labels=CLASSES)), t.ElectraConfig(**sizes(embedding_size=8, num_labels=CLASSES))
    make("bert_tags", t.BertForTokenClassification, bert, False, tags=True)
    make("electra_tags", t.ElectraForTokenClassification, electra, False, tags=True)


main()
