#!/usr/bin/env python3
"""One pre-training step in PyTorch with transformers, for comparison with `fnlm bench`. Same shapes, vocabulary, batch and dropout,
random ids, AdamW. Prints one line of JSON: median step, tokens per second, memory.

    pip install torch transformers
    scripts/peer-pretrain.py --model electra-small --batch 16 --length 128 --steps 8
    scripts/peer-pretrain.py --model bert-small --head masked --dtype bf16 --compile

--head full      logits at every position, as transformers' examples compute them
--head masked    logits at the masked positions only, as fnlm does
--attention      eager or sdpa (PyTorch's fused attention; transformers' default)
"""
import argparse
import json
import resource
import time
import warnings

warnings.filterwarnings("ignore")

import torch
import torch.nn.functional as F
from transformers import (BertConfig, BertForMaskedLM, ElectraConfig, ElectraForMaskedLM, ElectraForPreTraining, ModernBertConfig,
                          ModernBertForMaskedLM, RobertaConfig, RobertaForMaskedLM)

# The presets of configs/ (and roberta-small, a RoBERTa of modern-small's width and depth): hidden, layers, heads, feed-forward, embedding, generator (hidden, heads, feed-forward).
SHAPES = {
    "electra-tiny": (128, 2, 2, 512, 64, (64, 1, 256)),
    "electra-small": (256, 12, 4, 1024, 128, (64, 1, 256)),
    "electra-base": (768, 12, 12, 3072, 768, (256, 4, 1024)),
    "bert-tiny": (128, 2, 2, 512, None, None),
    "bert-small": (512, 4, 8, 2048, None, None),
    "bert-base": (768, 12, 12, 3072, None, None),
    "roberta-small": (256, 12, 4, 1024, None, None),
    "modern-tiny": (128, 4, 2, 192, None, None),
    "modern-small": (256, 12, 4, 384, None, None),
    "modern-base": (768, 22, 12, 1152, None, None),
}
# What maps the last hidden vectors to logits.
HEADS = {
    BertForMaskedLM: lambda net: net.cls,
    RobertaForMaskedLM: lambda net: net.lm_head,
    ModernBertForMaskedLM: lambda net: torch.nn.Sequential(net.head, net.decoder),
}
MASK = 103


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=SHAPES, default="electra-small")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--warm-up", type=int, default=3)
    parser.add_argument("--vocabulary", type=int, default=30522)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--rate", type=float, help="share of masked positions; 0.15, modern-*: 0.3 as in the presets")
    parser.add_argument("--head", choices=["full", "masked"], default="full")
    parser.add_argument("--attention", choices=["eager", "sdpa"], default="sdpa")
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--compile", action="store_true")
    return parser.parse_args()


def build(a):
    hidden, layers, heads, inner, embedding, generator = SHAPES[a.model]
    if a.model.startswith("modern"):  # no dropout, as in the presets
        return ModernBertForMaskedLM(ModernBertConfig(
            vocab_size=a.vocabulary, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
            intermediate_size=inner, pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2,
            attn_implementation=a.attention))
    common = dict(
        vocab_size=a.vocabulary, num_hidden_layers=layers, hidden_dropout_prob=a.dropout,
        attention_probs_dropout_prob=a.dropout, attn_implementation=a.attention,
    )
    if a.model.startswith("roberta"):
        return RobertaForMaskedLM(RobertaConfig(
            hidden_size=hidden, num_attention_heads=heads, intermediate_size=inner, max_position_embeddings=max(a.length, 512) + 2,
            type_vocab_size=1, layer_norm_eps=1e-5, **common))
    if generator is None:
        return BertForMaskedLM(
            BertConfig(hidden_size=hidden, num_attention_heads=heads, intermediate_size=inner, **common)
        )
    width, narrow, feed = generator
    common["embedding_size"] = embedding
    g = ElectraForMaskedLM(
        ElectraConfig(hidden_size=width, num_attention_heads=narrow, intermediate_size=feed, **common)
    )
    d = ElectraForPreTraining(
        ElectraConfig(hidden_size=hidden, num_attention_heads=heads, intermediate_size=inner, **common)
    )
    g.electra.embeddings = d.electra.embeddings
    g.generator_lm_head.weight = d.electra.embeddings.word_embeddings.weight
    return torch.nn.ModuleList([g, d])


def main():
    a = arguments()
    if a.threads:
        torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    device = torch.device(a.device)
    model = build(a).to(device).train()
    electra = isinstance(model, torch.nn.ModuleList)
    parameters = list({id(p): p for p in model.parameters()}.values())
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.01, eps=1e-6)
    modern = isinstance(model, ModernBertForMaskedLM)
    hidden_tokens = int(a.length * (a.rate or (0.3 if modern else 0.15)))

    def masked_lm(net, ids, at, gold):
        """ids [B, L], at and gold [B, P] -> loss, logits [B * P, V]."""
        x = getattr(net, net.base_model_prefix)(ids).last_hidden_state
        rows = (at + torch.arange(ids.shape[0], device=device)[:, None] * a.length).reshape(-1)
        if a.head == "masked":
            x = x.reshape(-1, x.shape[-1])[rows]
        logits = net.generator_lm_head(net.generator_predictions(x)) if electra else HEADS[type(net)](net)(x)
        if a.head == "full":
            logits = logits.reshape(-1, a.vocabulary)[rows]
        return F.cross_entropy(logits.float(), gold.reshape(-1)), logits

    def loss_of(ids, masked, at, gold):
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=a.dtype == "bf16"):
            if not electra:
                return masked_lm(model, masked, at, gold)[0]
            loss, logits = masked_lm(model[0], masked, at, gold)
            with torch.no_grad():
                u = torch.rand_like(logits, dtype=torch.float32).clamp_(1e-9, 1 - 1e-9)
                new = (logits.float() - torch.log(-torch.log(u))).argmax(-1).reshape(at.shape)
                corrupted = ids.scatter(1, at, new)
                replaced = (corrupted != ids).float()
            found = model[1](corrupted).logits
            return loss + 50.0 * F.binary_cross_entropy_with_logits(found.float(), replaced)

    step = torch.compile(loss_of) if a.compile else loss_of
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    seconds = []
    for _ in range(a.warm_up + a.steps):
        ids = torch.randint(5, a.vocabulary, (a.batch, a.length), device=device)
        at = torch.stack([torch.randperm(a.length, device=device)[:hidden_tokens] for _ in range(a.batch)])
        gold, masked = ids.gather(1, at), ids.scatter(1, at, MASK)
        wait()
        start = time.perf_counter()
        loss = step(ids, masked, at, gold)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        float(loss)
        wait()
        seconds.append(time.perf_counter() - start)
    timed = sorted(seconds[a.warm_up:])
    median = timed[len(timed) // 2]
    out = dict(
        vars(a), torch=torch.__version__, parameters=sum(p.numel() for p in parameters), seconds_per_step=round(median, 4),
        seconds_of_first_step=round(seconds[0], 4), tokens_per_s=round(a.batch * a.length / median, 1),
        peak_memory_mib=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    )
    if device.type == "cuda":
        out["peak_gpu_memory_mib"] = round(torch.cuda.max_memory_allocated() / 2**20)
        out["gpu"] = torch.cuda.get_device_name()
    print(json.dumps(out))


main()
