"""Makes tests/golden/modern_tiny and modern_tasks: what transformers says about small random ModernBERTs.

    venv/bin/python tests/golden/make_modern.py      (the environment of make.py)

modern_tiny/: a ModernBertForMaskedLM with global and local layers and a window smaller than its rows: config.json and
    model.safetensors as `save_pretrained` writes them, and
    case.safetensors  inputs, hidden vectors and logits (0 at padding, which no number depends on), `grad.NAME` = gradient of the
                      loss and `after.NAME` = value after three steps of AdamW for every parameter (transformers' names)
    case.json         loss, losses of the three steps, versions
    old/config.json   the same model as the first ModernBERTs write it: global_attn_every_n_layers, *_rope_theta
modern_tasks/: for ModernBertForSequenceClassification (pooling `cls` and `mean`), ...ForQuestionAnswering and
    ...ForTokenClassification a folder as `save_pretrained` writes it and case.json with inputs, logits and loss.

Everything is drawn from fixed seeds, weights are f32, results are computed from them in f64 and stored as f32. Dropout is 0.
"""

import json
import pathlib
import shutil

import torch
import transformers
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy
from transformers import (ModernBertConfig, ModernBertForMaskedLM, ModernBertForQuestionAnswering,
                          ModernBertForSequenceClassification, ModernBertForTokenClassification)

HERE = pathlib.Path(__file__).resolve().parent
VERSIONS = {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__}
PAD, CLS, SEP, MASK, VOCAB = 0, 2, 3, 4, 56
IDS = dict(pad_token_id=PAD, bos_token_id=CLS, eos_token_id=SEP, cls_token_id=CLS, sep_token_id=SEP)


def config(**changes):
    sizes = dict(vocab_size=VOCAB, hidden_size=24, num_hidden_layers=4, num_attention_heads=3, intermediate_size=20,
                 max_position_embeddings=64, local_attention=8, **IDS)
    return ModernBertConfig(**(sizes | changes))


def randomise(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            noise = torch.randn(p.shape, generator=generator)
            p.copy_(1.0 + 0.2 * noise if "norm" in name else 0.15 * noise)


def fresh(path):
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def batch(seed, length, lengths):
    """Rows of these lengths, the rest is padding; every sixth token is masked."""
    generator = torch.Generator().manual_seed(seed)
    original = torch.randint(5, VOCAB, (len(lengths), length), generator=generator)
    attention = torch.zeros_like(original)
    for b, n in enumerate(lengths):
        attention[b, :n] = 1
        original[b, 0], original[b, n - 1], original[b, n:] = CLS, SEP, PAD
    rows = [b * length + l for b, n in enumerate(lengths) for l in range(2, n - 1, 6)]
    rows = torch.tensor(rows)
    masked = original.flatten().clone()
    masked[rows[:-1]] = MASK  # the last one keeps its token
    return {
        "original": original, "input_ids": masked.view_as(original), "token_type_ids": torch.zeros_like(original),
        "attention_mask": attention, "rows": rows, "gold": original.flatten()[rows],
    }


def f32(tensors):
    return {k: (v.detach().to(torch.float32) if v.is_floating_point() else v.to(torch.int32)).contiguous().clone()
            for k, v in tensors.items()}


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n")


def loss_of(model, b):
    out = model(input_ids=b["input_ids"], attention_mask=b["attention_mask"], output_hidden_states=True)
    logits = out.logits.view(-1, VOCAB)[b["rows"]]
    return out.hidden_states[-1], logits, cross_entropy(logits, b["gold"])


def make_masked_lm():
    path = fresh(HERE / "modern_tiny")
    model = ModernBertForMaskedLM(config()).eval()
    randomise(model, 41)
    model.save_pretrained(path)
    b = batch(42, 30, [30, 17, 29])
    model = model.double()
    hidden, logits, loss = loss_of(model, b)
    hidden = model.model(input_ids=b["input_ids"], attention_mask=b["attention_mask"]).last_hidden_state
    hidden = hidden * b["attention_mask"].unsqueeze(-1)
    loss.backward()
    grads = {f"grad.{n}": p.grad.clone() for n, p in model.named_parameters()}
    named = list(model.named_parameters())
    plain = [p for n, p in named if n.endswith("bias") or "norm" in n]
    decayed = [p for n, p in named if not (n.endswith("bias") or "norm" in n)]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.999), eps=1e-6)
    losses, norms = [], []
    for _ in range(3):
        optimiser.zero_grad()
        step = loss_of(model, b)[-1]
        step.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(plain + decayed, 1.0).item())
        optimiser.step()
        losses.append(step.item())
    after = {f"after.{n}": p for n, p in model.named_parameters()}
    save_file(f32(b | {"hidden": hidden, "logits": logits} | grads | after), path / "case.safetensors")
    write_json(path / "case.json", {
        "versions": VERSIONS, "loss": loss.item(), "losses": losses, "grad_norms": norms,
        "optimiser": "AdamW lr 1e-3 betas .9/.999 eps 1e-6, decay .01 except bias and norms, clip 1.0, bias correction",
    })
    old = json.loads((path / "config.json").read_text())
    rope = old.pop("rope_parameters")
    del old["layer_types"]
    old |= {"global_attn_every_n_layers": 3, "global_rope_theta": rope["full_attention"]["rope_theta"],
            "local_rope_theta": rope["sliding_attention"]["rope_theta"], "layer_norm_eps": old["norm_eps"],
            "position_embedding_type": "absolute", "gradient_checkpointing": False}
    (path / "old").mkdir()
    write_json(path / "old" / "config.json", old)


def make_task(name, cls, labels=3, **changes):
    path = fresh(HERE / "modern_tasks" / name)
    model = cls(config(num_labels=labels, num_hidden_layers=3, **changes)).eval()
    randomise(model, 50 + len(name))
    model.save_pretrained(path)
    model = cls.from_pretrained(path).double().eval()
    length = 14
    b = batch(51, length, [14, 9, 13])
    inputs = {"input_ids": b["original"], "attention_mask": b["attention_mask"]}
    case = {key: value.tolist() for key, value in inputs.items()} | {"token_type_ids": b["token_type_ids"].tolist()}
    if cls is ModernBertForQuestionAnswering:
        case["start"], case["end"] = [0, 2, 4], [0, 5, 7]
        out = model(**inputs, start_positions=torch.tensor(case["start"]), end_positions=torch.tensor(case["end"]))
        case["start_logits"], case["end_logits"] = out.start_logits.tolist(), out.end_logits.tolist()
    else:
        tags = cls is ModernBertForTokenClassification
        case["labels"] = [[(i + 2 * r) % labels if 0 < i < 6 else -100 for i in range(length)] for r in range(3)] if tags else [2, 0, 1]
        out = model(**inputs, labels=torch.tensor(case["labels"]))
        case["logits"] = out.logits.tolist()
    case |= {"loss": out.loss.item(), "versions": VERSIONS}
    (path / "case.json").write_text(json.dumps(case) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    make_masked_lm()
    make_task("classifier_cls", ModernBertForSequenceClassification)
    make_task("classifier_mean", ModernBertForSequenceClassification, classifier_pooling="mean")
    make_task("spans", ModernBertForQuestionAnswering, labels=2)
    make_task("tags", ModernBertForTokenClassification)
    for folder in ("modern_tiny", "modern_tasks"):
        for file in sorted(p for p in (HERE / folder).rglob("*") if p.is_file()):
            print(f"{file.stat().st_size:8d}  {file.relative_to(HERE)}")
