"""Makes sentences.json: what transformers says about pairs of sentences, as `fnlm babylm` scores them.

    python -m venv venv && venv/bin/pip install torch transformers
    venv/bin/python tests/golden/make_sentences.py

Models are bert_tiny/ and electra_tiny/ beside this file (made by make.py), in f64; the scores are those of check_babylm.py.
"""

import json
import pathlib
import tempfile

import torch
import transformers
from check_babylm import log_likelihoods, models
from make_probe import VOCABULARY
from transformers import BertTokenizerFast

HERE = pathlib.Path(__file__).resolve().parent
# smarter, dogs, runs, rarely, oldest and oldests have two or three pieces; zebra is not in the vocabulary.
PAIRS = [
    ("the child is smarter than the dog .", "the child is smart than the dog ."),
    ("it was very cold .", "it very was cold ."),
    ("the dogs run up .", "the dogs runs up ."),
    ("often the house is dark", "the house often dark is"),
    ("a rarely old horse , the oldest", "a rarely horse old , the oldests"),
    ("the zebra is big", "the is zebra big"),
]


def main():
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "vocab.txt"
        file.write_text("\n".join(VOCABULARY) + "\n")
        tokenizer = BertTokenizerFast.from_pretrained(folder)
    out = {"versions": {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__}, "pairs": PAIRS}
    texts = [text for pair in PAIRS for text in pair]
    out["pieces"] = [len(tokenizer(text)["input_ids"]) - 2 for text in texts]
    for name in ["bert_tiny", "electra_tiny"]:
        masked_lm, discriminator = (model and model.double() for model in models(HERE / name))
        out[name] = log_likelihoods(tokenizer, masked_lm, discriminator, texts)
    (HERE / "sentences.json").write_text(json.dumps(out, indent=1) + "\n")
    print(json.dumps(out["electra_tiny"], indent=1))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
