#!/usr/bin/env python3
"""How long a data-parallel step of `fnlm pretrain` takes on 1 to 64 nodes: a table from a few measured numbers.

    scripts/scaling-model.py --parameters 13.5e6 --micro-seconds 1.4 --update-seconds 0.05 --micro-batches 64 --gbit 10 --latency-ms 0.1

n ranks, m micro-batches a step, P parameters, r ranks on a machine, B bytes/s of a machine's network, L seconds of latency (one way):

    compute      (m / n) * micro-seconds
    update       update-seconds on every rank (with a sharded optimiser: / n)
    transfer     r * 2 * 4 P * (n - r) / (n B): reduce-scatter and all-gather of f32 gradients; what stays on a machine counts nothing.
                 With a sharded optimiser the weights are gathered in place of the sums, which is as much
    waiting      exchanges * (L + poll): two for each bucket and each 2^20 of its values for each pair of ranks, and four small ones
                 (stop? batch sizes, which parameters have gradients, losses). The sleep between two polls (poll) is a tenth of the wait
    hidden       what goes on behind the backward pass of the last micro-batch, two thirds of its time: at most the transfer of the layers,
                 all but a share e (--tail) of the parameters, those of embeddings and heads; with a sharded optimiser half of it

A step is compute + update + transfer + waiting - hidden; with --after (`train.overlap = false`) nothing is hidden. `fnlm bench --world` prints the
parameters, the buckets and e.
"""
import argparse
import math

PIECE = 1 << 20
SMALL = 4
BACKWARD = 2 / 3


def step(a, nodes):
    """Seconds of a step on so many machines: compute, update, transfer, waiting, and what of it is hidden, negative."""
    n = nodes * a.ranks_per_node
    r = min(a.ranks_per_node, n)
    compute = a.micro_batches / n * a.micro_seconds
    update = a.update_seconds / (n if a.sharded else 1)
    if n == 1:
        return compute, update, 0.0, 0.0, 0.0
    bytes_per_value = 2 if a.bf16 else 4
    transfer = r * 2 * bytes_per_value * a.parameters * (n - r) / (n * a.gbit * 1e9 / 8) if nodes > 1 else 0.0
    layers, tail = (1 - a.tail) * a.parameters, a.tail * a.parameters
    pieces = max(1, a.buckets - 1) * math.ceil(layers / max(1, a.buckets - 1) / n / PIECE)
    exchange = 1.1 * a.latency_ms / 1e3 if nodes > 1 else 0.0
    waiting = (2 * pieces + 2 * math.ceil(tail / n / PIECE) + SMALL) * exchange
    behind = (1 - a.tail) * transfer + 2 * pieces * exchange
    hidden = 0.0 if a.after else min(behind / (2 if a.sharded else 1), BACKWARD * a.micro_seconds)
    return compute, update, transfer, waiting, -hidden


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--parameters", type=float, required=True, help="trained parameters, e.g. 13.5e6")
    p.add_argument("--micro-seconds", type=float, required=True, help="seconds of forward and backward of one micro-batch on one rank")
    p.add_argument("--update-seconds", type=float, default=0.0, help="seconds of the optimiser's update on one rank")
    p.add_argument("--micro-batches", type=int, required=True, help="train.accumulation")
    p.add_argument("--gbit", type=float, required=True, help="network of a machine, Gbit/s")
    p.add_argument("--latency-ms", type=float, required=True, help="one way")
    p.add_argument("--ranks-per-node", type=int, default=1)
    p.add_argument("--nodes", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64])
    p.add_argument("--rows", type=int, help="train.batch, and")
    p.add_argument("--length", type=int, help="data.length: for tokens a second")
    p.add_argument("--sharded", action="store_true", help="optimizer state is divided among the ranks")
    p.add_argument("--bf16", action="store_true", help="gradients are sent as bf16")
    p.add_argument("--after", action="store_true", help="nothing is sent before the backward pass has ended")
    p.add_argument("--buckets", type=int, default=8, help="into which the parameters are divided (8: ELECTRA-small)")
    p.add_argument("--tail", type=float, default=0.29, help="share of the parameters outside of layers (0.29: ELECTRA-small)")
    a = p.parse_args()
    one = sum(step(argparse.Namespace(**{**vars(a), "ranks_per_node": 1}), 1))
    print("| nodes | ranks | compute s | update s | transfer s | waiting s | hidden s | step s | speed-up | efficiency | tokens/s |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for nodes in a.nodes:
        n = nodes * a.ranks_per_node
        if a.micro_batches % n:
            print(f"| {nodes} | {n} | {a.micro_batches} micro-batches cannot be divided among {n} ranks ||||||||")
            continue
        parts = step(a, nodes)
        total = sum(parts)
        tokens = f"{a.micro_batches * a.rows * a.length / total:,.0f}" if a.rows and a.length else "-"
        cells = " | ".join(f"{part:.4f}" for part in (*parts, total))
        print(f"| {nodes} | {n} | {cells} | {one / total:.2f} | {one / total / n:.2f} | {tokens} |")


if __name__ == "__main__":
    main()
