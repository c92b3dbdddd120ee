"""Writes the small inputs from which fuzzing begins, into fuzz/seeds: python fuzz/make_seeds.py

Needs numpy, safetensors, pyarrow and zstandard, and the fixtures of tests/golden. The seeds are committed; their bytes depend on
the versions of these packages, so that the script is run for new seeds only.
"""

import gzip
import io
import json
import lzma
import random
import struct
from pathlib import Path

import numpy
import pyarrow
import pyarrow.parquet
import zstandard
from safetensors.numpy import save

ROOT = Path(__file__).resolve().parent
GOLDEN = ROOT.parent / "tests" / "golden"
SEEDS = ROOT / "seeds"


def seed(target, name, content):
    path = SEEDS / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def parts(files):
    return b"".join(b"==> %s <==\n" % name.encode() + content for name, content in files)


def packed(target, name, content):
    seed(target, name + "-gz", gzip.compress(content, mtime=0))
    seed(target, name + "-zst", zstandard.compress(content))
    seed(target, name + "-xz", lzma.compress(content))


text = "First line of a document.\nA second one, caf\u00e9.\n\nAnother document.\n"
seed("text", "plain", text)
seed("text", "utf16-le", b"\xff\xfe" + text.encode("utf-16-le"))
seed("text", "utf16-be", b"\xfe\xff" + text.encode("utf-16-be"))
packed("text", "packed", text.encode())

rows = [{"text": "one"}, {"text": None}, {"meta": {"text": "two"}, "text": "three \ud83d\ude00"}, {"text": "\n\n"}]
lines = "".join(json.dumps(row) + "\n" for row in rows)
seed("jsonl", "lines", lines)
seed("jsonl", "bad", '{"text": "a"}\n{"text": \nnot json\n{"text": 3}\n')
packed("jsonl", "packed", lines.encode())

table = pyarrow.table({"text": ["a b", None, "c"], "label": ["a", "b", "a"]})
for compression in ["none", "snappy", "gzip", "zstd", "lz4", "brotli"]:
    out = io.BytesIO()
    pyarrow.parquet.write_table(table, out, compression=compression)
    seed("parquet", compression, out.getvalue())
out = io.BytesIO()
pyarrow.parquet.write_table(pyarrow.table({"meta": [{"text": "x"}, None], "text": pyarrow.array(["d", "d"]).dictionary_encode()}), out)
seed("parquet", "nested", out.getvalue())

seed("tsv", "own", "sentence\tlabel\nit is good\t1\nit is not\t0\n")
seed("tsv", "cola", "gj04\t1\t\tOur friends won't buy this.\ngj04\t0\t*\tThey drank the pub dry on.\n")
seed("tsv", "rte", "index\tsentence1\tsentence2\tlabel\n0\tNo weapons.\tWeapons.\tnot_entailment\n1\tA b.\tA.\tentailment\n")
seed("tsv", "mrpc", "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n1\t1\t2\t\"He said\tHe said.\r\n0\t3\t4\tx\ty\r\n")
seed("tsv", "stsb", "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n0\tm\tM\t2012\t1\tn\tn\tA b.\tA c.\t2.5\n")
packed("tsv", "packed", b"sentence\tlabel\nit is good\t1\n")

squad = {
    "version": "v2.0",
    "data": [
        {
            "title": "T",
            "paragraphs": [
                {
                    "context": "Caf\u00e9s open at nine.",
                    "qas": [
                        {"id": "1", "question": "When?", "answers": [{"text": "nine", "answer_start": 14}]},
                        {"id": "2", "question": "Why?", "is_impossible": True, "answers": []},
                    ],
                }
            ],
        }
    ],
}
seed("squad_json", "two", json.dumps(squad))
seed("squad_json", "two-raw", json.dumps(squad, ensure_ascii=False))

seed("task_toml", "pair", '[task]\ntype = "pair"\nfirst = "a"\nsecond = "b"\nlabel = "l"\nlabels = ["x", "y"]\ndelimiter = ","\n')
seed("task_toml", "regress", '[task]\ntype = "regress"\nfirst = "0"\nlabel = "1"\nrange = [0.0, 5.0]\nheader = false\n')
seed("task_toml", "tags", '[task]\ntype = "tag"\nfirst = "words"\nlabel = "tags"\nlabels = ["O", "B"]\nskip_broken = true\n')

specials = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4}
added = [
    {"id": i, "content": t, "special": True, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    for t, i in specials.items()
]
bert = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}
frame = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
    "pair": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": "[SEP]", "type_id": 1}}],
    "special_tokens": {t: {"id": t, "ids": [specials[t]], "tokens": [t]} for t in ("[CLS]", "[SEP]")},
}


def tokenizer(model, normalizer, pre):
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": normalizer,
        "pre_tokenizer": pre, "post_processor": frame, "decoder": None, "model": model,
    }


vocabulary = list(specials) + ["the", "caf", "##e", "of", "s", "##t", "!", "don", "'", "t", "a"]
wordpiece = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": {t: i for i, t in enumerate(vocabulary)}}
wordpiece = json.dumps(tokenizer(wordpiece, bert, {"type": "BertPreTokenizer"}))
bpe_pieces = list(specials) + list("The\u0120cafo") + ["Th", "The", "\u0120c", "\u0120ca"]
bpe = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, "vocab": {t: i for i, t in enumerate(bpe_pieces)}, "merges": [["T", "h"], ["Th", "e"], ["\u0120", "c"], ["\u0120c", "a"]]}
bpe = json.dumps(tokenizer(bpe, None, {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}))
unigram = {"type": "Unigram", "unk_id": 1, "vocab": [[t, 0.0] for t in specials] + [["\u2581", -2.0], ["\u2581the", -3.0], ["caf", -4.0], ["e", -2.5]], "byte_fallback": False}
unigram = json.dumps(tokenizer(unigram, {"type": "Sequence", "normalizers": [{"type": "NFKC"}]}, {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}))
for name, content in [("wordpiece", wordpiece), ("bpe", bpe), ("unigram", unigram)]:
    seed("tokenizer", name, content)
settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "strip_accents": None, "model_max_length": 512, "cls_token": "[CLS]", "added_tokens_decoder": {"0": {"content": "[PAD]", "special": True}}}
seed("tokenizer", "with-settings", parts([("tokenizer.json", wordpiece.encode() + b"\n"), ("tokenizer_config.json", json.dumps(settings).encode() + b"\n"), ("special_tokens_map.json", b'{"mask_token": {"content": "[MASK]", "lstrip": true}}\n'), ("config.json", b'{"model_type": "bert", "vocab_size": 16}\n')]))
seed("vocabulary", "small", "\n".join(vocabulary) + "\n")
seed("vocabulary", "mark", "\ufeff" + "\r\n".join(vocabulary) + "\r\n")

tiny = ROOT.parent / "crates" / "fn-data" / "tests" / "wordnet_tiny"
names = [f"{kind}.{pos}" for pos in ("noun", "verb", "adj", "adv") for kind in ("index", "data")]
names += [f"{pos}.exc" for pos in ("noun", "verb", "adj", "adv")]
seed("wordnet", "tiny", parts([(name, (tiny / name).read_bytes()) for name in names]))

seed("vectors", "glove", "the 0.5 -1 2e-1\ncat 1 1 1\nof 0 0 1\n")
seed("vectors", "word2vec", "3 2\nthe 0.5 -1\ncat 1 1\ndog 0 0\n")
seed("vectors", "packed", gzip.compress(b"the 0.5 -1\ncat 1 1\n", mtime=0))
matrix = numpy.arange(6, dtype=numpy.float32).reshape(3, 2)
for name, value in [("f4", matrix), ("f2", matrix.astype(numpy.float16)), ("f8", matrix.astype(numpy.float64)), ("fortran", numpy.asfortranarray(matrix))]:
    out = io.BytesIO()
    numpy.save(out, value)
    seed("vectors", f"npy-{name}", out.getvalue())
seed("vectors", "safetensors", save({"embeddings": matrix}))

numbers = random.Random(1)
ids = numpy.array([[numbers.randrange(4096) for _ in range(8)] for _ in range(3)], dtype=numpy.uint16)
ends = {"used": numpy.array([8, 5, 2], dtype=numpy.uint16), "second": numpy.array([4, 5, 0], dtype=numpy.uint16)}
seed("shard", "narrow", save({"tokens": ids, **ends}))
seed("shard", "wide", save({"tokens": ids.astype(numpy.uint32), **ends}))
seed("shard", "counts", save({"counts": numpy.arange(4, dtype=numpy.uint64)}))
manifest = {
    "version": 1, "key": "k", "length": 8, "packing": "electra", "seed": 1, "vocabulary_sha256": "v", "vocabulary_size": 9, "pad": 0,
    "documents": 1, "tokens": 9, "rows": 3, "text_bytes": 9, "counts_sha256": "c",
    "shards": [{"file": "shard-00000.safetensors", "rows": 3, "bytes": 9, "sha256": "s"}],
}
seed("shard_manifest", "one", json.dumps(manifest))
seed("shard_manifest", "none", json.dumps({**manifest, "rows": 0, "shards": []}))

weights = {"bert.embeddings.word_embeddings.weight": matrix, "cls.predictions.bias": numpy.array([1, 2], dtype=numpy.float16)}
seed("safetensors", "two", save(weights))
seed("safetensors", "prefixed", save({"module._orig_mod." + name: value for name, value in weights.items()}))
for kind in ("zip", "legacy", "lightning", "hostile"):
    content = (GOLDEN / "bin_tiny" / kind / "pytorch_model.bin").read_bytes()
    seed("pickle", kind, content)
for kind in ("bert_tiny", "electra_tiny", "roberta_tiny", "modern_tiny"):
    seed("model_config", kind, (GOLDEN / kind / "config.json").read_bytes())

seed("run_toml", "sections", 'preset = "electra-tiny"\nseed = 3\n[model]\nnum_layers = 2\n[data]\ntrain = ["a.txt"]\n[train]\nsteps = 10\nbatch = 4\n')
seed("run_toml", "judge", '[correction]\npreset = "hard"\n[correction.judge]\nkind = "any"\njudges = [{ kind = "lexicon" }, { kind = "generator" }]\n[schedule]\nkind = "warmup-stable-decay"\n')
seed("study_toml", "small", 'name = "s"\npreset = "electra-tiny"\nseeds = [1, 2]\nset = ["train.steps=5"]\n[[arm]]\nname = "a"\n[[arm]]\nname = "b"\nset = ["correction.preset=hard"]\ncontrol = "a"\n[[evaluate]]\ntask = "rte"\ndata = "glue"\n[[measure]]\nname = "m"\nkind = "pairs"\ndata = ["p.jsonl"]\n')

state = {"step": 20, "micro_step": 40, "seed": 1, "optimizer_updates": 20, "guard": {"skipped_total": 0, "consecutive": 0}, "evaluated_step": 0, "best": {"step": 10, "metric": "masked_loss", "value": 1.5}, "tokens_seen": 99}
seed("checkpoint_state", "state", json.dumps(state))
seed("checkpoint_tensors", "two", save({"m.a": matrix, "v.a": matrix}))
seed("checkpoint_manifest", "unsigned", json.dumps({"format": 1, "step": 20, "files": [{"name": "state.json", "bytes": 9, "sha256": "s"}], "sha256": ""}, indent=2) + "\n")
seed("metrics", "lines", '{"kind":"step","step":10,"loss":1.5}\n{"kind":"evaluation","step":20,"metrics":{}}\n{"kind":"step","step":30,"loss":"NaN"}\n{"kind":"st')
seed("records", "all", '{"Ended":{"Failed":{"message":"x","usage":true}}}\n{"Figures":[]}\n{"ended":"done"}\n')
seed("event_file", "two", struct.pack("<d", 1.5) + b"loss/one" + struct.pack("<d", float("nan")) + b"x")
seed("prediction_file", "lines", '{"index": 0, "gold": "a", "prediction": "b", "scores": [0.4, null]}\n{"index": 1, "prediction": ["O", "B"]}\n{"index": 2, "prediction": 0.5}\n')
seed("prediction_file", "table", "index\tprediction\n0\tentailment\n1\tnot_entailment\n")
seed("probe_lines", "choice", '{"question": {"stem": "A [MASK] b.", "choices": [{"label": "A", "text": "x"}, {"label": "B", "text": "y"}]}, "answerKey": "A"}\n')
seed("probe_lines", "pairs", '{"sentence_good": "a b", "sentence_bad": "b a", "field": "f", "linguistics_term": "t"}\n')
seed("probe_lines", "substitution", '{"text": "a fine day", "word": "fine", "at": 2, "substitutes": {"good": 3}, "candidates": ["good", "bad"]}\n')
seed("exam_file", "table", "sentence\tstart\tword\tsubstitute\tlabel\na fine day\t2\tfine\tgood\tTRUE\na fine day\t2\tfine\tgood\tFALSE\n")
seed("exam_file", "readings", '{"context": "a fine day", "start": 2, "word": "fine", "prediction": "good", "labels": ["S", "F", "W"], "domain": "d"}\n')
swords = {"contexts": {"c": {"context": "a fine day", "extra": None}}, "targets": {"t": {"context_id": "c", "target": "fine", "offset": 2, "pos": "ADJ"}}, "substitutes": {"s": {"target_id": "t", "substitute": "good"}}, "substitute_labels": {"s": ["TRUE", "FALSE"]}}
seed("exam_file", "swords", json.dumps(swords))

lexicon = {"offsets": numpy.array([0, 0, 2, 3, 3], dtype=numpy.uint32), "members": numpy.array([2, 3, 1], dtype=numpy.uint32)}
entry = {"version": 1, "info": {"kind": "k", "vocabulary_sha256": "v", "note": ""}, "sha256": "0" * 64}
seed("lexicon", "plain", save(lexicon, {"fn-lexicon": json.dumps(entry)}))
seed("lexicon", "graded", save({**lexicon, "grades": numpy.array([0.5, 1, 1], dtype=numpy.float32)}, {"fn-lexicon": json.dumps(entry)}))
