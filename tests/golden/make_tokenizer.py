"""Makes tests/golden/tokenizer.json: what transformers makes of the files of a tokenizer.

    python -m venv venv && venv/bin/pip install transformers==5.24.0
    venv/bin/python tests/golden/make_tokenizer.py

Each case has the files of a folder, and the pieces of one text by AutoTokenizer for BERT. `crates/fn-data/tests/golden_tokenizer.rs`
reads the same folders.
"""

import json
import os
import pathlib
import tempfile

os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import transformers

HERE = pathlib.Path(__file__).resolve().parent
TEXT = "Café école ECOLE naïve 中文 Dog Paris öü\u0007x ŞİŞ e\u0301t longword!"
LETTERS = "abcdefghijklmnopqrstuvwxyzéïöüCDEPOLSİŞış\u0301"
WORDS = ["cafe", "café", "Café", "école", "ecole", "naive", "naïve", "dog", "Dog", "paris", "Paris", "中", "文", "中文", "!"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = SPECIAL + WORDS + list(LETTERS) + ["##" + c for c in LETTERS]


def tokenizer_json(**normalizer):
    """As `tokenizers` writes it."""
    normalizer = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True} | normalizer
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": i, "content": c, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
                         for i, c in enumerate(SPECIAL)],
        "normalizer": normalizer, "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": None,
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                  "vocab": {piece: i for i, piece in enumerate(VOCABULARY)}},
    }


def cases():
    vocabulary = "\n".join(VOCABULARY) + "\n"
    for name, config in [
        ("lower", {"do_lower_case": True}),
        ("cased", {"do_lower_case": False}),
        ("lower, accents kept", {"do_lower_case": True, "strip_accents": False}),
        ("cased, accents stripped", {"do_lower_case": False, "strip_accents": True}),
        ("accents as lower says", {"do_lower_case": True, "strip_accents": None}),
        ("Chinese together", {"do_lower_case": False, "tokenize_chinese_chars": False}),
        ("all three", {"do_lower_case": True, "strip_accents": False, "tokenize_chinese_chars": False}),
        ("ELECTRA", {"do_lower_case": False, "tokenizer_class": "ElectraTokenizer", "model_max_length": 512}),
        ("tokens by name", {"do_lower_case": True, "unk_token": {"__type": "AddedToken", "content": "[UNK]", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False}, "never_split": None}),
    ]:
        yield name, {"vocab.txt": vocabulary, "tokenizer_config.json": json.dumps(config)}
    fast = json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"})
    for name, normalizer in [
        ("file: lower", {}),
        ("file: accents kept", {"strip_accents": False}),
        ("file: control characters kept", {"clean_text": False}),
        ("file: Chinese together", {"handle_chinese_chars": False, "lowercase": False}),
        ("file: steps", {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"}]}),
        ("file: lower-cased after BERT's", {"type": "Sequence", "normalizers": [
            {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": False},
            {"type": "Lowercase"}]}),
        ("file: lower-cased before BERT's", {"type": "Sequence", "normalizers": [
            {"type": "Lowercase"},
            {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": False}]}),
    ]:
        yield name, {"tokenizer.json": json.dumps(tokenizer_json(**normalizer), ensure_ascii=False), "tokenizer_config.json": fast}


def pieces(files):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            pathlib.Path(folder, name).write_text(text, encoding="utf-8")
        pathlib.Path(folder, "config.json").write_text('{"model_type": "bert"}')
        return transformers.AutoTokenizer.from_pretrained(folder).tokenize(TEXT)


made = [dict(name=name, files=files, pieces=pieces(files)) for name, files in cases()]
path = HERE / "tokenizer.json"
path.write_text(json.dumps(dict(transformers=transformers.__version__, text=TEXT, cases=made), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
for case in made:
    print(case["name"], *case["pieces"])
