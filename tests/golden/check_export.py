"""Do the folders that we write load in transformers, and do they say the same?

    cargo run -p fn-models --example export_for_check -- DIR
    venv/bin/python tests/golden/check_export.py DIR          (venv: see make.py)

The example writes small random models for pre-training and for tasks and, beside each, `expected.json`: inputs and what we
compute. This script loads each folder with the Auto classes and the named ones, fails on any missing or unexpected tensor, on
another class or other labels in config.json and on logits that differ by more than 1e-5, and prints the largest difference.

AutoModel takes the bare encoder out of the folders for pre-training: their heads are left over then and BERT's pooler is
missing, nothing else; hidden vectors are compared.
"""

import json
import pathlib
import sys

import torch
import transformers
from transformers import (AutoModel, AutoModelForMaskedLM, AutoModelForPreTraining, AutoModelForQuestionAnswering,
                          AutoModelForSequenceClassification, AutoModelForTokenClassification)


def named(prefix, purpose, auto):
    return [auto, getattr(transformers, f"{prefix}For{purpose}")]


CLASSES = {
    "electra": [*named("Electra", "PreTraining", AutoModelForPreTraining), AutoModel],
    "electra/generator": [*named("Electra", "MaskedLM", AutoModelForMaskedLM), AutoModel],
}
CLASSES["modern-electra"] = [*named("ModernBert", "TokenClassification", AutoModelForTokenClassification), AutoModel]
CLASSES["modern-electra/generator"] = [*named("ModernBert", "MaskedLM", AutoModelForMaskedLM), AutoModel]
MASKED_LMS = {"bert": "Bert", "bert_untied": "Bert", "roberta": "Roberta", "xlm-roberta": "XLMRoberta", "camembert": "Camembert",
              "distilbert": "DistilBert", "modernbert": "ModernBert"}
for folder, prefix in MASKED_LMS.items():
    CLASSES[folder] = [*named(prefix, "MaskedLM", AutoModelForMaskedLM), AutoModel]
TASKS = {"bert": "Bert", "electra": "Electra", "roberta": "Roberta", "xlm-roberta": "XLMRoberta", "distilbert": "DistilBert",
         "modernbert": "ModernBert"}
for folder, prefix in TASKS.items():
    CLASSES[f"{folder}_classifier"] = named(prefix, "SequenceClassification", AutoModelForSequenceClassification)
    CLASSES[f"{folder}_spans"] = named(prefix, "QuestionAnswering", AutoModelForQuestionAnswering)
    CLASSES[f"{folder}_tags"] = named(prefix, "TokenClassification", AutoModelForTokenClassification)

# What AutoModel may not find, and what it may leave over.
POOLER = ("pooler.",)
HEADS = ("cls.", "lm_head.", "discriminator_predictions.", "generator_predictions.", "generator_lm_head.", "head.", "decoder.",
         "classifier.", "vocab_")


def load(folder, cls):
    model, info = cls.from_pretrained(folder, output_loading_info=True)
    problems = {kind: sorted(names) for kind, names in info.items() if names}
    if cls is AutoModel:
        for kind, allowed in [("missing_keys", POOLER), ("unexpected_keys", HEADS)]:
            if all(name.startswith(allowed) for name in problems.get(kind, [])):
                problems.pop(kind, None)
    elif model.config.architectures != [type(model).__name__]:
        problems["architectures"] = model.config.architectures
    if problems:
        sys.exit(f"{folder}: {cls.__name__}: {problems}")
    return model.eval()


def check(root, name, cls):
    folder = root / name
    expected = json.loads((folder / "expected.json").read_text())
    model = load(folder, cls)
    if "labels" in expected and model.config.id2label != dict(enumerate(expected["labels"])):
        sys.exit(f"{folder}: {cls.__name__}: {model.config.id2label}")
    # They have no segments.
    names = ("input_ids", "attention_mask") if model.config.model_type in ("distilbert", "modernbert") else (
        "input_ids", "token_type_ids", "attention_mask")
    with torch.no_grad():
        out = model(**{name: torch.tensor(expected[name], dtype=torch.long) for name in names})
    if cls is AutoModel:
        what, got, wanted = "hidden value", out.last_hidden_state, expected["hidden"]
    else:
        got = torch.stack([out.start_logits, out.end_logits], -1) if "start_logits" in out else out.logits
        got = got.reshape(-1, got.shape[-1])[expected["rows"]] if "rows" in expected else got
        what, wanted = "logit", expected["logits"]
    if list(got.shape) != wanted["shape"]:
        sys.exit(f"{folder}: {cls.__name__}: shape {list(got.shape)}, expected {wanted['shape']}")
    wanted = torch.tensor(wanted["values"]).reshape(wanted["shape"])
    apart = (got - wanted).abs()
    if apart.shape[:2] == torch.Size([len(expected["attention_mask"]), len(expected["attention_mask"][0])]):
        # What is computed for padding is never read; RoBERTa gives it another position than we do.
        apart = apart[torch.tensor(expected["attention_mask"]) == 1]
    difference = apart.max().item()
    print(f"{name}: {cls.__name__}: largest difference of a {what} {difference:.2e} "
          f"(largest {what} {wanted.abs().max().item():.2f})")
    return difference


if __name__ == "__main__":
    root = pathlib.Path(sys.argv[1])
    print("torch", torch.__version__.split("+")[0], "transformers", transformers.__version__)
    differences = [check(root, name, cls) for name, classes in CLASSES.items() for cls in classes]
    print(f"largest of all {max(differences):.2e}")
    sys.exit(not all(difference <= 1e-5 for difference in differences))
