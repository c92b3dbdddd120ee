"""Makes the golden fixtures beside this file: what transformers and torch say about small random models.

    python -m venv venv && venv/bin/pip install torch transformers safetensors
    venv/bin/python tests/golden/make.py [NAME ...]       (names of folders: only these)

Everything is drawn from fixed seeds. Weights are f32; logits, losses and gradients are computed from them in f64 and stored
as f32 (losses as decimal numbers), so that they carry no rounding of their own. Dropout is 0 everywhere.

bert_tiny/, electra_tiny/ (with generator/): config.json and model.safetensors as `save_pretrained` writes them, and
    case.safetensors  inputs, logits, `grad.NAME` = gradient of the loss for every parameter (transformers' names)
    case.json         losses, versions; for ELECTRA also the loss curve of 20 AdamW steps
roberta_tiny/, distilbert_tiny/: the same of RoBERTa (padding id 1, one segment) and DistilBERT (no segments), losses of three AdamW steps and the one after them
bert_untied/: the same of a BERT with `silu` whose output layer has a matrix of its own
activations.json: what bert_tiny computes when `hidden_act` is changed: logits, loss and one gradient for each activation
bin_tiny/: the same weights as safetensors, as a zip .bin, as a legacy .bin and as a checkpoint of Lightning; and a .bin whose pickle wants to run a command
extreme/: cross-entropy and binary cross-entropy of logits up to 1e4, values and gradients, in f64
"""

import io
import json
import pathlib
import shutil
import sys
import zipfile

import torch
import transformers
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from transformers import (BertConfig, BertForMaskedLM, DistilBertConfig, DistilBertForMaskedLM, ElectraConfig, ElectraForMaskedLM, ElectraForPreTraining, RobertaConfig,
                          RobertaForMaskedLM)
from safetensors.torch import load_file, save_file

HERE = pathlib.Path(__file__).resolve().parent
VERSIONS = {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__}
BATCH, LENGTH, VOCAB = 3, 12, 56
PAD, CLS, SEP, MASK = 0, 2, 3, 4


def randomise(model, seed):
    """Weights large enough that nothing is close to its initial value (biases and norms, too), small enough that torch's own f32
    gradients are within 5e-6 of its f64 ones (at 0.3 they are not)."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            noise = torch.randn(p.shape, generator=generator)
            if "LayerNorm.weight" in name or "layer_norm.weight" in name:
                p.copy_(1.0 + 0.2 * noise)
            elif p.dim() == 1:
                p.copy_(0.2 * noise)
            else:
                p.copy_(0.15 * noise)


def batch(seed):
    """Row 1 ends in padding; two segments; 2 masked positions per row."""
    generator = torch.Generator().manual_seed(seed)
    original = torch.randint(5, VOCAB, (BATCH, LENGTH), generator=generator)
    lengths = [12, 8, 12]
    attention = torch.zeros(BATCH, LENGTH, dtype=torch.long)
    token_type = torch.zeros(BATCH, LENGTH, dtype=torch.long)
    for b, n in enumerate(lengths):
        attention[b, :n] = 1
        original[b, 0], original[b, n // 2], original[b, n - 1] = CLS, SEP, SEP
        token_type[b, n // 2 + 1 : n] = 1
        original[b, n:] = PAD
    rows = torch.tensor([0 * 12 + 2, 0 * 12 + 9, 1 * 12 + 1, 1 * 12 + 6, 2 * 12 + 3, 2 * 12 + 4, 2 * 12 + 10])
    gold = original.flatten()[rows]
    masked = original.clone().flatten()
    masked[rows[:-1]] = MASK  # the last one keeps its token
    replaced = original.clone().flatten()
    replaced[rows] = torch.randint(5, VOCAB, (len(rows),), generator=generator)
    replaced[rows[0]] = gold[0]  # a correct replacement counts as original
    return {
        "original": original,
        "input_ids": masked.view(BATCH, LENGTH),
        "replaced_ids": replaced.view(BATCH, LENGTH),
        "token_type_ids": token_type,
        "attention_mask": attention,
        "rows": rows,
        "gold": gold,
        "segments": True,
    }


def inputs(b, ids):
    names = ["token_type_ids", "attention_mask"] if b["segments"] else ["attention_mask"]
    return {"input_ids": b[ids]} | {name: b[name] for name in names}


def f32(tensors):
    tensors = {k: v for k, v in tensors.items() if k != "segments"}
    return {k: (v.detach().to(torch.float32) if v.is_floating_point() else v.to(torch.int32)).contiguous().clone()
            for k, v in tensors.items()}


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n")


def fresh(name):
    path = HERE / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def bert_config(**changes):
    sizes = dict(vocab_size=VOCAB, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40,
                 max_position_embeddings=16, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    return BertConfig(**(sizes | changes))


def make_bert():
    path = fresh("bert_tiny")
    model = BertForMaskedLM(bert_config()).eval()
    randomise(model, 11)
    model.save_pretrained(path)
    b = batch(12)
    model = model.double()
    hidden = model.bert(**inputs(b, "input_ids")).last_hidden_state
    logits = model(**inputs(b, "input_ids")).logits.view(-1, VOCAB)[b["rows"]]
    loss = cross_entropy(logits, b["gold"])
    loss.backward()
    grads = {f"grad.{n}": p.grad for n, p in model.named_parameters()}
    assert all(g is not None for g in grads.values())
    save_file(f32(b | {"hidden": hidden, "logits": logits} | grads), path / "case.safetensors")
    write_json(path / "case.json", {"versions": VERSIONS, "loss": loss.item()})


def adamw(named):
    """AdamW as ELECTRA sets it, with bias correction."""
    def plain(name):
        return name.endswith("bias") or "LayerNorm" in name or "layer_norm" in name
    groups = [{"params": [p for n, p in named if not plain(n)], "weight_decay": 0.01},
              {"params": [p for n, p in named if plain(n)], "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.999), eps=1e-6)


def masked_lm_case(path, model, b, bias=None):
    """Writes model and case. `bias`: (the output layer's bias, the head's), where both are there and the first one counts."""
    model.save_pretrained(path)
    model = model.double()
    base = getattr(model, model.base_model_prefix)
    hidden = base(**inputs(b, "input_ids")).last_hidden_state
    named = [(n, p) for n, p in model.named_parameters() if not bias or n != bias[1]]
    optimiser = adamw(named)
    losses, norms = [], []
    for step in range(4):
        optimiser.zero_grad()
        logits = model(**inputs(b, "input_ids")).logits.view(-1, VOCAB)[b["rows"]]
        loss = cross_entropy(logits, b["gold"])
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            grads = {f"grad.{n}": p.grad.clone() for n, p in named}
            if bias:
                grads[f"grad.{bias[1]}"] = grads.pop(f"grad.{bias[0]}")
            save_file(f32(b | {"hidden": hidden, "logits": logits} | grads), path / "case.safetensors")
        norms.append(torch.nn.utils.clip_grad_norm_([p for _, p in named], 1.0).item())
        optimiser.step()
    write_json(path / "case.json", {"versions": VERSIONS, "loss": losses[0], "curve": losses, "grad_norm": norms})


def make_roberta():
    path = fresh("roberta_tiny")
    config = RobertaConfig(vocab_size=VOCAB, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40,
                           max_position_embeddings=18, type_vocab_size=1, layer_norm_eps=1e-5, hidden_dropout_prob=0.0,
                           attention_probs_dropout_prob=0.0)
    model = RobertaForMaskedLM(config).eval()
    randomise(model, 41)
    b = batch(42)
    # Positions count the tokens that are not padding, by id.
    for ids in ("original", "input_ids", "replaced_ids"):
        b[ids] = torch.where(b["attention_mask"] == 1, b[ids], config.pad_token_id)
    b["token_type_ids"] = torch.zeros_like(b["token_type_ids"])
    masked_lm_case(path, model, b)


def make_distilbert():
    path = fresh("distilbert_tiny")
    config = DistilBertConfig(vocab_size=VOCAB, dim=24, n_layers=2, n_heads=3, hidden_dim=40, max_position_embeddings=16, dropout=0.0,
                              attention_dropout=0.0, qa_dropout=0.05, seq_classif_dropout=0.15)
    model = DistilBertForMaskedLM(config).eval()
    randomise(model, 61)
    masked_lm_case(path, model, batch(62) | {"segments": False})


def make_untied():
    path = fresh("bert_untied")
    model = BertForMaskedLM(bert_config(hidden_act="silu", num_hidden_layers=1, tie_word_embeddings=False)).eval()
    randomise(model, 51)
    masked_lm_case(path, model, batch(52), ("cls.predictions.decoder.bias", "cls.predictions.bias"))


def make_activations():
    b = batch(12)
    cases = {}
    for name in ["gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu"]:
        model = BertForMaskedLM.from_pretrained(HERE / "bert_tiny", hidden_act=name).double().eval()
        logits = model(**inputs(b, "input_ids")).logits.view(-1, VOCAB)[b["rows"]]
        loss = cross_entropy(logits, b["gold"])
        loss.backward()
        gradient = model.bert.encoder.layer[0].intermediate.dense.bias.grad
        cases[name] = {"logits": logits.flatten().tolist(), "loss": loss.item(), "gradient": gradient.tolist()}
    (HERE / "activations.json").write_text(json.dumps({"versions": VERSIONS, "cases": cases}) + "\n")


def electra_pair():
    sizes = dict(vocab_size=VOCAB, embedding_size=12, num_hidden_layers=2, max_position_embeddings=16,
                 hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    d = ElectraForPreTraining(
        ElectraConfig(**sizes, hidden_size=24, num_attention_heads=3, intermediate_size=40)).eval()
    g = ElectraForMaskedLM(
        ElectraConfig(**sizes, hidden_size=16, num_attention_heads=2, intermediate_size=28)).eval()
    randomise(d, 21)
    randomise(g, 22)
    g.electra.embeddings = d.electra.embeddings
    g.generator_lm_head.weight = d.electra.embeddings.word_embeddings.weight
    return g, d


def electra_loss(g, d, b):
    logits = g(**inputs(b, "input_ids")).logits.view(-1, VOCAB)[b["rows"]]
    masked_lm = cross_entropy(logits, b["gold"])
    found = d(**inputs(b, "replaced_ids")).logits
    fake = (b["replaced_ids"] != b["original"]).to(found.dtype)
    real = b["attention_mask"] == 1
    detection = binary_cross_entropy_with_logits(found[real], fake[real])
    return logits, found, masked_lm, detection, masked_lm + 50.0 * detection


def train_electra(dtype, b, steps=20):
    """AdamW as ELECTRA sets it, with bias correction; one batch over and over."""
    g, d = electra_pair()
    g, d = g.to(dtype), d.to(dtype)
    named = {f"g.{n}": p for n, p in g.named_parameters()} | {f"d.{n}": p for n, p in d.named_parameters()}
    named = {id(p): (n, p) for n, p in named.items()}.values()
    plain = [p for n, p in named if n.endswith("bias") or "LayerNorm" in n]
    decayed = [p for n, p in named if not (n.endswith("bias") or "LayerNorm" in n)]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.999), eps=1e-6)
    losses, norms = [], []
    for _ in range(steps):
        optimiser.zero_grad()
        loss = electra_loss(g, d, b)[-1]
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(plain + decayed, 1.0).item())
        optimiser.step()
        losses.append(loss.item())
    return {"loss": losses, "grad_norm": norms}


def make_electra():
    path = fresh("electra_tiny")
    g, d = electra_pair()
    d.save_pretrained(path)
    g.save_pretrained(path / "generator")
    b = batch(23)
    g, d = g.double(), d.double()
    # `double()` makes new parameters in place of shared ones: share again.
    g.electra.embeddings = d.electra.embeddings
    g.generator_lm_head.weight = d.electra.embeddings.word_embeddings.weight
    logits, found, masked_lm, detection, total = electra_loss(g, d, b)
    total.backward()
    grads = {f"grad.discriminator.{n}": p.grad for n, p in d.named_parameters()}
    own = {n: p for n, p in g.named_parameters() if not n.startswith("electra.embeddings.")}
    own.pop("generator_lm_head.weight", None)
    grads |= {f"grad.generator.{n}": p.grad for n, p in own.items()}
    assert all(v is not None for v in grads.values())
    outputs = {"generator_logits": logits, "discriminator_logits": found}
    save_file(f32(b | outputs | grads), path / "case.safetensors")
    write_json(path / "case.json", {
        "versions": VERSIONS,
        "generator_loss": masked_lm.item(),
        "discriminator_loss": detection.item(),
        "loss": total.item(),
        "optimiser": "AdamW lr 1e-3 betas .9/.999 eps 1e-6, decay .01 except bias and LayerNorm, clip 1.0, bias correction",
        "curve_f32": train_electra(torch.float32, b),
        "curve_f64": train_electra(torch.float64, b),
    })


class Command:
    def __reduce__(self):
        import os
        return (os.system, ("touch fnlm-golden-canary",))


def make_bin():
    path = fresh("bin_tiny")
    config = bert_config(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
                         intermediate_size=12, max_position_embeddings=8)
    model = BertForMaskedLM(config).eval()
    randomise(model, 31)
    model.save_pretrained(path / "safetensors")
    for name, modern in [("zip", True), ("legacy", False)]:
        (path / name).mkdir()
        shutil.copy(path / "safetensors" / "config.json", path / name)
        torch.save(model.state_dict(), path / name / "pytorch_model.bin", _use_new_zipfile_serialization=modern)
    make_lightning()
    (path / "hostile").mkdir()
    shutil.copy(path / "safetensors" / "config.json", path / "hostile")
    import pickle
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"bert.embeddings.word_embeddings.weight": Command()}, 2))
        archive.writestr("archive/version", "3\n")
    (path / "hostile" / "pytorch_model.bin").write_bytes(buffer.getvalue())


def make_lightning():
    """The checkpoint of a training framework: the weights are one entry of several, their names have a prefix."""
    path = HERE / "bin_tiny" / "lightning"
    path.mkdir(exist_ok=True)
    shutil.copy(HERE / "bin_tiny" / "safetensors" / "config.json", path)
    weights = load_file(HERE / "bin_tiny" / "safetensors" / "model.safetensors")
    checkpoint = {"epoch": 3, "pytorch-lightning_version": "2.5.0", "state_dict": {f"model.{n}": w for n, w in weights.items()},
                  "optimizer_states": []}
    torch.save(checkpoint, path / "pytorch_model.bin")


def make_extreme():
    path = fresh("extreme")
    rows = [
        [17.0, -17.0, 0.0, 1.0], [-17.0, 17.0, 17.0, 3.0], [40.0, -40.0, 39.0, 0.0], [-40.0, -40.0, -41.0, -40.0],
        [1e4, -1e4, 0.0, 17.0], [-1e4, 1e4, 9999.0, 1e4], [-1e4, -1e4, -1e4, -1e4], [1e4, 1e4, 1e4, 1e4],
        [1e-4, -1e-4, 0.0, 88.8], [-88.8, -104.0, 104.0, 0.5],
    ]
    cross = []
    for row in rows:
        for gold in range(4):
            x = torch.tensor([row], dtype=torch.float64, requires_grad=True)
            loss = cross_entropy(x, torch.tensor([gold]))
            loss.backward()
            cross.append({"logits": row, "gold": gold, "loss": loss.item(), "grad": x.grad[0].tolist()})
    binary = []
    for logit in [0.0, 1e-4, 1.0, 17.0, 40.0, 88.8, 90.0, 104.0, 1e4]:
        for sign in ([1.0, -1.0] if logit else [1.0]):
            for target in [0.0, 1.0]:
                x = torch.tensor([sign * logit], dtype=torch.float64, requires_grad=True)
                # torch's own form loses what is below 1e-16 |x|; both must agree as far as that goes.
                loss = (x.clamp(min=0) - x * target + torch.log1p(torch.exp(-x.abs()))).sum()
                theirs = binary_cross_entropy_with_logits(x, torch.tensor([target], dtype=torch.float64))
                assert abs(loss.item() - theirs.item()) <= 1e-15 * max(1.0, abs(logit)), (x, target)
                theirs.backward()
                binary.append({"logit": sign * logit, "target": target, "loss": loss.item(), "grad": x.grad.item()})
    write_json(path / "losses.json", {"versions": VERSIONS, "cross_entropy": cross, "binary": binary})


if __name__ == "__main__":
    print(VERSIONS)
    torch.set_num_threads(1)
    makers = {"bert_tiny": make_bert, "electra_tiny": make_electra, "roberta_tiny": make_roberta, "bert_untied": make_untied,
              "distilbert_tiny": make_distilbert,
              "activations": make_activations, "bin_tiny": make_bin, "lightning": make_lightning, "extreme": make_extreme}
    for name in sys.argv[1:] or makers:
        makers[name]()
    for file in sorted(p for p in HERE.rglob("*") if p.is_file()):
        print(f"{file.stat().st_size:8d}  {file.relative_to(HERE)}")
