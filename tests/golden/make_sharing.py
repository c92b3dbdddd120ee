"""Makes tests/golden/sharing: what generator and discriminator share of their embeddings, in f64.

    venv/bin/python tests/golden/make_sharing.py      (the environment of make.py)

sharing/electra/: an ElectraForPreTraining, in generator/ an ElectraForMaskedLM; sharing/modern-electra/: a
    ModernBertForTokenClassification with one label and a ModernBertForMaskedLM. The two have different embeddings. In each
    config.json and model.safetensors as `save_pretrained` writes them (and in the first config.json what this program adds), and
    case.safetensors  inputs, and for each way of sharing `WAY.generator_logits`, `WAY.discriminator_logits` (0 at padding),
                      `WAY.grad.generator.NAME`, `WAY.grad.discriminator.NAME` (transformers' names)
    case.json         losses, versions

    tied  both sides have the discriminator's embeddings; gradients stand under the discriminator
    gdes  the discriminator's tables are E_G.detach() + E_D, where E_D is its table less the generator's; gradients of its tables are
          those of E_D
    none  each has its own

The loss is the masked LM's at the masked places + 50 x the discriminator's over all real tokens. Everything is drawn from fixed seeds,
weights are f32, results are computed from them in f64 and stored as f32. Dropout is 0.
"""

import json

import torch
from make_modern import HERE, VERSIONS, batch, config, f32, fresh, randomise, write_json
from safetensors.torch import save_file
from torch.func import functional_call
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from transformers import (ElectraConfig, ElectraForMaskedLM, ElectraForPreTraining, ModernBertForMaskedLM,
                          ModernBertForTokenClassification)

VOCAB = 30


def electra(hidden):
    return ElectraConfig(vocab_size=VOCAB, embedding_size=12, hidden_size=hidden, num_hidden_layers=2, num_attention_heads=2,
                         intermediate_size=20, max_position_embeddings=24, hidden_dropout_prob=0.0,
                         attention_probs_dropout_prob=0.0)


def modern(layers, **changes):
    return config(vocab_size=VOCAB, hidden_size=16, num_attention_heads=2, intermediate_size=12, num_hidden_layers=layers,
                  max_position_embeddings=24, **changes)


def leaves(model):
    return {name: p.detach().double().clone().requires_grad_() for name, p in model.named_parameters()}


def share(way, prefix, discriminator, generator):
    """Parameters to compute with, of both sides; gradients are those of the leaves in the two dictionaries."""
    used = dict(discriminator), dict(generator)
    for name in [name for name in generator if name.startswith(prefix)]:
        if way == "tied":
            used[1][name] = discriminator[name]
            del generator[name]
        elif way == "gdes" and "norm" not in name.lower():
            with torch.no_grad():
                discriminator[name] = (discriminator[name] - generator[name]).requires_grad_()
            used[0][name] = generator[name].detach() + discriminator[name]
    return used


def make(name, prefix, discriminator, generator, fields):
    path = fresh(HERE / "sharing" / name)
    for model, seed, folder in [(discriminator, 61, path), (generator, 62, path / "generator")]:
        randomise(model, seed)
        model.tie_weights()
        model.eval().save_pretrained(folder)
    written = json.loads((path / "config.json").read_text())
    write_json(path / "config.json", written | fields)
    b = batch(63, 20, [20, 13, 18])
    for key in ("original", "input_ids", "gold"):
        b[key] = torch.where(b[key] < 5, b[key], 5 + b[key] % (VOCAB - 5))
    # Places 1 and 3 of the masked ones are filled with another word.
    filled = b["original"].flatten().clone()
    filled[b["rows"][1::2]] = 5 + (filled[b["rows"][1::2]] + 7) % (VOCAB - 5)
    b["replaced_ids"] = filled.view_as(b["original"])
    real, fake = b["attention_mask"].double(), (b["replaced_ids"] != b["original"]).double()
    discriminator, generator = discriminator.double(), generator.double()
    tensors, losses = {}, {}
    for way in ("tied", "gdes", "none"):
        mine, theirs = leaves(discriminator), leaves(generator)
        used = share(way, prefix, mine, theirs)
        ask = lambda model, parameters, ids: functional_call(
            model, parameters, (), {"input_ids": ids, "attention_mask": b["attention_mask"]}).logits
        logits = ask(generator, used[1], b["input_ids"]).reshape(-1, VOCAB)[b["rows"]]
        found = ask(discriminator, used[0], b["replaced_ids"]).reshape(real.shape)
        masked_lm = cross_entropy(logits, b["gold"])
        detection = (binary_cross_entropy_with_logits(found, fake, reduction="none") * real).sum() / real.sum()
        (masked_lm + 50 * detection).backward()
        tensors |= {f"{way}.generator_logits": logits, f"{way}.discriminator_logits": found * real}
        for side, parameters in [("discriminator", mine), ("generator", theirs)]:
            tensors |= {f"{way}.grad.{side}.{n}": p.grad for n, p in parameters.items() if p.grad is not None}
        losses[way] = {"generator": masked_lm.item(), "discriminator": detection.item()}
    save_file(f32(b | tensors), path / "case.safetensors")
    write_json(path / "case.json", {"versions": VERSIONS, "losses": losses})


if __name__ == "__main__":
    torch.set_num_threads(1)
    make("electra", "electra.embeddings.", ElectraForPreTraining(electra(16)), ElectraForMaskedLM(electra(12)), {})
    label = {"id2label": {0: "replaced"}, "label2id": {"replaced": 0}}
    make("modern-electra", "model.embeddings.", ModernBertForTokenClassification(modern(3, **label)),
         ModernBertForMaskedLM(modern(2)), {"pretraining": "replaced-token-detection"})
    for file in sorted(p for p in (HERE / "sharing").rglob("*") if p.is_file()):
        print(f"{file.stat().st_size:8d}  {file.relative_to(HERE)}")
