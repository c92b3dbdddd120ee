#!/usr/bin/env python3
"""Masked-LM pre-training of ELECTRA-small's generator-free half in PyTorch DDP (gloo), for comparison with `fnlm pretrain` under mpirun:
a BERT of 12 layers of 256, 4 heads, logits at the masked positions only, random ids, AdamW, dropout 0.1, one thread a process.

    pip install torch transformers
    torchrun --nproc-per-node 2 scripts/peer-ddp.py --batch 16 --length 128 --accumulation 1 --steps 10

Each process computes `accumulation` micro-batches of `batch` rows; gradients are averaged by DDP behind the last backward pass. Rank 0
prints one line of JSON: median seconds of a step, tokens a second of all processes.
"""
import argparse
import contextlib
import json
import os
import time
import warnings

warnings.filterwarnings("ignore")

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel
from transformers import BertConfig, BertForMaskedLM

MASK = 103


class MaskedOnly(torch.nn.Module):
    """The loss with logits at the masked positions."""

    def __init__(self, a):
        super().__init__()
        self.length, self.vocabulary = a.length, a.vocabulary
        self.net = BertForMaskedLM(BertConfig(
            vocab_size=a.vocabulary, hidden_size=a.hidden, num_hidden_layers=a.layers, num_attention_heads=a.heads,
            intermediate_size=4 * a.hidden, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1))

    def forward(self, masked, at, gold):
        x = self.net.bert(masked).last_hidden_state
        rows = (at + torch.arange(masked.shape[0])[:, None] * self.length).reshape(-1)
        logits = self.net.cls(x.reshape(-1, x.shape[-1])[rows])
        return F.cross_entropy(logits, gold.reshape(-1))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--length", type=int, default=128)
    p.add_argument("--accumulation", type=int, default=1, help="micro-batches of each process")
    p.add_argument("--steps", type=int, default=10)
    p.add_argument("--warm-up", type=int, default=2)
    p.add_argument("--vocabulary", type=int, default=30522)
    p.add_argument("--hidden", type=int, default=256)
    p.add_argument("--layers", type=int, default=12)
    p.add_argument("--heads", type=int, default=4)
    p.add_argument("--threads", type=int, default=1)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1:
        dist.init_process_group("gloo")
    rank = dist.get_rank() if world > 1 else 0
    torch.manual_seed(0)
    model = MaskedOnly(a).train()
    wrapped = DistributedDataParallel(model) if world > 1 else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, eps=1e-6)
    torch.manual_seed(1 + rank)
    hidden = int(a.length * 0.15)
    seconds = []
    for _ in range(a.warm_up + a.steps):
        if world > 1:
            dist.barrier()
        start = time.perf_counter()
        for micro in range(a.accumulation):
            ids = torch.randint(5, a.vocabulary, (a.batch, a.length))
            at = torch.stack([torch.randperm(a.length)[:hidden] for _ in range(a.batch)])
            gold, masked = ids.gather(1, at), ids.scatter(1, at, MASK)
            last = micro + 1 == a.accumulation
            with contextlib.nullcontext() if last or world == 1 else wrapped.no_sync():
                (wrapped(masked, at, gold) / a.accumulation).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds.append(time.perf_counter() - start)
    timed = sorted(seconds[a.warm_up:])
    median = timed[len(timed) // 2]
    if rank == 0:
        tokens = world * a.accumulation * a.batch * a.length
        print(json.dumps(dict(
            vars(a), processes=world, torch=torch.__version__, parameters=sum(x.numel() for x in model.parameters()),
            seconds_per_step=round(median, 4), tokens_per_s=round(tokens / median, 1))))
    if world > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
