#!/usr/bin/env python3
"""How long a data-parallel step of `fnlm pretrain` takes on 1 to 64 nodes: a table from a few measured numbers.

    scripts/scaling-model.py --parameters 13.5e6 --micro-seconds 1.4 --update-seconds 0.05 --micro-batches 64 --gbit 10 --latency-ms 0.1

n ranks, m micro-batches a step, P parameters, r ranks on a machine, B bytes/s of a machine's network, L seconds of latency (one way):

    compute      (m / n) * micro-seconds
    update       update-seconds on every rank (with a sharded optimiser: / n)
    transfer     r * 2 * 4 P * (n - r) / (n B): reduce-scatter and all-gather of f32 gradients; what stays on a machine counts nothing.
                 With a sharded optimiser the weights are gathered in place of the sums, which is as much
    waiting      (2 * ceil(P / n / 2^20) + 4) * (L + poll): exchanges of at most 2^20 values for each pair of ranks, and four small ones
                 (stop? batch sizes, which parameters have gradients, losses). The sleep between two polls (poll) is a tenth of the wait

Without overlap these add up; with --overlap, transfer is hidden behind the backward pass of the last micro-batch, two thirds of its time.
"""
import argparse
import math

BUCKET = 1 << 20
SMALL = 4
BACKWARD = 2 / 3


def step(a, nodes):
    """Seconds of a step on so many machines: compute, update, transfer, waiting."""
    n = nodes * a.ranks_per_node
    r = min(a.ranks_per_node, n)
    compute = a.micro_batches / n * a.micro_seconds
    update = a.update_seconds / (n if a.sharded else 1)
    if n == 1:
        return compute, update, 0.0, 0.0
    bytes_per_value = 2 if a.bf16 else 4
    transfer = r * 2 * bytes_per_value * a.parameters * (n - r) / (n * a.gbit * 1e9 / 8) if nodes > 1 else 0.0
    exchanges = 2 * math.ceil(a.parameters / n / BUCKET) + SMALL
    waiting = exchanges * 1.1 * a.latency_ms / 1e3 if nodes > 1 else 0.0
    if a.overlap:
        transfer = max(0.0, transfer - BACKWARD * a.micro_seconds)
    return compute, update, transfer, waiting


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
    p.add_argument("--overlap", action="store_true", help="communication behind the last backward pass")
    a = p.parse_args()
    one = sum(step(argparse.Namespace(**{**vars(a), "ranks_per_node": 1}), 1))
    print("| nodes | ranks | compute s | update s | transfer s | waiting s | step s | speed-up | efficiency | tokens/s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for nodes in a.nodes:
        n = nodes * a.ranks_per_node
        if a.micro_batches % n:
            print(f"| {nodes} | {n} | {a.micro_batches} micro-batches cannot be divided among {n} ranks |||||||")
            continue
        parts = step(a, nodes)
        total = sum(parts)
        tokens = f"{a.micro_batches * a.rows * a.length / total:,.0f}" if a.rows and a.length else "-"
        cells = " | ".join(f"{part:.4f}" for part in (*parts, total))
        print(f"| {nodes} | {n} | {cells} | {one / total:.2f} | {one / total / n:.2f} | {tokens} |")


if __name__ == "__main__":
    main()
