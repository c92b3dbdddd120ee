"""Makes tests/golden/tokenizers/: small tokenizers of every kind, and what `tokenizers` and transformers make of sentences with them.

    python -m venv venv && venv/bin/pip install transformers==5.24.0 tokenizers==0.23.3
    venv/bin/python tests/golden/make_tokenizers.py

Each folder holds the files of a tokenizer, trained on the sentences below; `expected.json` holds, for each of them, the ids and token types of single
texts and of pairs, offsets, and the ids of special tokens. Texts with literal special tokens are encoded with the special tokens
taken out of the tokenizer's list, since there they are ordinary text. `crates/fn-data/tests/golden_tokenizers.rs` reads the same folders.
"""

import json
import os
import pathlib
import shutil

os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import tokenizers
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).resolve().parent / "tokenizers"
TRAIN = [
    "The old lighthouse keeper counted the ships that passed before midnight.",
    "Nobody in the village remembered when the bakery had last been closed.",
    "She doesn't like tea, but she drinks it when her grandmother is watching.",
    "In 1987, three engineers repaired the bridge for 4,500 euros.",
    "Paris, Berlin and Kraków are cities; Zürich isn't their capital.",
    "The keeper's lamp was repaired, counted and closed again.",
    "He keeps bees, keeps goats and keeps his word.",
    "Unbelievable! The unpassable bridge was passable after all (again).",
    "naïve café owners counted their coffee cups twice a day",
    "the ships, the bridge, the bakery, the lamp and the village",
    "中文 和 日本 are written without blanks: 中文和日本。",
    "e-mail addresses like bee@keeper.example have dots.",
] * 4
TEXTS = [
    "The keeper counted 1987 bridges.",
    "the keeper counted the ships",
    "She doesn't keep bees; he's unbelievable!",
    " leading blank and  two  blanks, trailing ",
    "Kraków, Zürich and naïve CAFÉ (again)",
    "中文和日本 mixed",
    "e-mail: bee@keeper.example",
    "tabs\tand\nlines",
    "emoji 🐝 and ﬁ ligature … ① ²",
    "e\u0301t\u00e9 \u00a0no-break \u3000wide",
    "(hello)world",
    "",
    " ",
    "Q",
    "x" * 120,
]
PAIRS = [("The keeper counted bees.", "She doesn't."), ("", "word"), ("one two", "Q")]
LITERAL = ["a {mask} b", "{sep} start {sep}{sep} end{cls}", "{pad}{pad} {unk} [MASK] <mask> </s> [SEP] <s> <unk>"]


def special(tokens, lstrip_mask=False):
    return [AddedToken(t, special=True, normalized=False, lstrip=lstrip_mask and "mask" in t.lower()) for t in tokens]


BRACKETS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ANGLES = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def bert_frame(t, cls="[CLS]", sep="[SEP]"):
    t.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}", pair=f"{cls} $A {sep} $B:1 {sep}:1",
        special_tokens=[(cls, t.token_to_id(cls)), (sep, t.token_to_id(sep))])


def wordpiece(lowercase):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.train_from_iterator(TRAIN, trainers.WordPieceTrainer(vocab_size=400, special_tokens=special(BRACKETS), show_progress=False))
    bert_frame(t)
    t.decoder = decoders.WordPiece()
    return t, BRACKETS


def wordpiece_other():
    """WordPiece by rules that are not BERT's: another prefix, other special tokens, NFKC, split at blanks and punctuation."""
    t = Tokenizer(models.WordPiece(unk_token="<unk>", continuing_subword_prefix="@@"))
    t.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    t.train_from_iterator(TRAIN, trainers.WordPieceTrainer(vocab_size=400, special_tokens=special(ANGLES), continuing_subword_prefix="@@", show_progress=False))
    bert_frame(t, "<s>", "</s>")
    return t, ANGLES


def roberta(prefix):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    t.train_from_iterator(TRAIN, trainers.BpeTrainer(vocab_size=420, special_tokens=special(ANGLES, True), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=prefix)
    t.decoder = decoders.ByteLevel()
    return t, ANGLES


def modern():
    """ModernBERT's kind: byte-level with NFC, bracketed special tokens, and runs of blanks as added tokens that are not special."""
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.train_from_iterator(TRAIN, trainers.BpeTrainer(vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    t.add_tokens([AddedToken(" " * n, special=False, normalized=True) for n in (3, 2)])
    t.add_special_tokens([AddedToken("<|padding|>", special=True, normalized=False)])
    t.add_tokens([AddedToken("|||IP|||", special=False, normalized=True)])
    t.add_special_tokens([AddedToken(b, special=True, normalized=False, lstrip=b == "[MASK]") for b in ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]])
    t.add_tokens([AddedToken("[unused0]", special=False, normalized=True)])
    bert_frame(t)
    t.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]",
                                                     special_tokens=[(x, t.token_to_id(x)) for x in ("[CLS]", "[SEP]")])
    t.decoder = decoders.ByteLevel()
    return t, BRACKETS


def xlmr(scheme="always", lower=False):
    t = Tokenizer(models.Unigram())
    steps = [normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")] + ([normalizers.Lowercase()] if lower else [])
    t.normalizer = normalizers.Sequence(steps)
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme=scheme)]) if scheme == "always" \
        else pre_tokenizers.Metaspace(prepend_scheme=scheme)
    t.train_from_iterator(TRAIN, trainers.UnigramTrainer(vocab_size=300, special_tokens=special(ANGLES, True), unk_token="<unk>", show_progress=False))
    t.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>",
                                                     special_tokens=[(x, t.token_to_id(x)) for x in ("<s>", "</s>")])
    t.decoder = decoders.Metaspace(prepend_scheme=scheme)
    return t, ANGLES


def llama():
    """Llama's kind: BPE over the whole text, blanks written as a character by the normaliser, bytes for what is not in the vocabulary."""
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")  # for training alone
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=special(["<unk>", "<s>", "</s>", "<pad>", "<mask>"]) + [AddedToken(f"<0x{b:02X}>", special=False) for b in range(256)],
                                  limit_alphabet=50, show_progress=False)
    t.train_from_iterator(TRAIN, trainer)
    rules = json.loads(t.to_str())
    rules["added_tokens"] = [a for a in rules["added_tokens"] if not a["content"].startswith("<0x")]
    rules["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
    rules["pre_tokenizer"] = None
    t = Tokenizer.from_str(json.dumps(rules))
    t.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1",
                                                     special_tokens=[(x, t.token_to_id(x)) for x in ("<s>", "</s>")])
    return t, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def bpe_suffix():
    """BPE whose pieces mark the end of a word, as GPT and XLM."""
    t = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    t.normalizer = normalizers.BertNormalizer(lowercase=True)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.train_from_iterator(TRAIN, trainers.BpeTrainer(vocab_size=400, special_tokens=special(ANGLES), end_of_word_suffix="</w>", show_progress=False))
    bert_frame(t, "<s>", "</s>")
    return t, ANGLES


KINDS = {
    "wordpiece-cased": lambda: wordpiece(False),
    "wordpiece-uncased": lambda: wordpiece(True),
    "wordpiece-other": wordpiece_other,
    "bpe-roberta": lambda: roberta(False),
    "bpe-roberta-prefix": lambda: roberta(True),
    "bpe-modern": modern,
    "bpe-llama": llama,
    "bpe-suffix": bpe_suffix,
    "unigram-xlmr": lambda: xlmr(),
    "unigram-first": lambda: xlmr("first", lower=True),
}


def plainly(t):
    """The same tokenizer, to which special tokens are ordinary text."""
    rules = json.loads(t.to_str())
    names = {a["content"] for a in rules["added_tokens"] if a["special"] or a["content"].startswith("[unused")}
    order = sorted(rules["added_tokens"], key=lambda a: a["id"])
    for a in order:
        if a["content"] in names:
            a["content"] = f"\ufffe{a['id']}\ufffe"
    rules["added_tokens"] = order
    model = rules["model"]
    new = lambda token: f"\ufffe{t.token_to_id(token)}\ufffe" if token in names else token
    if isinstance(model["vocab"], dict):
        model["vocab"] = {new(token): i for token, i in model["vocab"].items()}
    else:
        model["vocab"] = [[new(token), score] for token, score in model["vocab"]]
    if model.get("unk_token"):
        model["unk_token"] = new(model["unk_token"])
    return Tokenizer.from_str(json.dumps(rules))


def utf8(text, offsets):
    at = [0]
    for c in text:
        at.append(at[-1] + len(c.encode()))
    return [[at[a], at[b]] for a, b in offsets]


if HERE.exists():
    shutil.rmtree(HERE)
for name, make in KINDS.items():
    t, names = make()
    folder = HERE / name
    folder.mkdir(parents=True)
    role = {r: next(n for n in names if r in n.lower()) for r in ("pad", "unk", "mask")}
    role["cls"], role["sep"] = ("[CLS]", "[SEP]") if "[CLS]" in names else ("<s>", "</s>")
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=t, **{f"{r}_token": token for r, token in role.items()})
    fast.save_pretrained(folder)
    for extra in folder.iterdir():
        if extra.name not in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
            extra.unlink()
    fast = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    bare = plainly(Tokenizer.from_file(str(folder / "tokenizer.json")))
    single, pairs, literal = [], [], []
    for text in TEXTS:
        got = fast(text, return_token_type_ids=True)
        back = fast.backend_tokenizer.encode(text, add_special_tokens=False)
        single.append(dict(text=text, ids=got["input_ids"], types=got["token_type_ids"], plain=back.ids, offsets=utf8(text, back.offsets)))
    for a, b in PAIRS:
        got = fast(a, b, return_token_type_ids=True)
        pairs.append(dict(a=a, b=b, ids=got["input_ids"], types=got["token_type_ids"]))
    for text in LITERAL:
        text = text.format(**role)
        literal.append(dict(text=text, ids=bare.encode(text, add_special_tokens=False).ids))
    made = dict(special={r: fast.convert_tokens_to_ids(token) for r, token in role.items()}, size=len(fast), single=single, pairs=pairs, literal=literal)
    (folder / "expected.json").write_text(json.dumps(made, ensure_ascii=False) + "\n", encoding="utf-8")
    # Small enough to be committed: no indentation.
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")), ensure_ascii=False) + "\n", encoding="utf-8")
    print(name, len(fast), bare.encode("The keeper's (old) lamp doesn't.").tokens)
print(tokenizers.__version__, transformers.__version__)
