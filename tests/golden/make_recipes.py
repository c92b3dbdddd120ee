"""Makes recipes.json: learning rates, updates of StableAdamW, and moving averages, in float64.

    python -m venv venv && venv/bin/pip install torch transformers
    venv/bin/python tests/golden/make_recipes.py

Learning rates are those of transformers' schedulers (linear, cosine, warm-up-stable-decay). StableAdamW is algorithm 2 of Wortsman et al.
2023 (arXiv 2304.13013) with bias-corrected moments, written out below; the lower bound of the second moment, max(v, eps^2), is that of
torch-optimi's `StableAdamW`. Without the division by max(1, RMS) the same lines are compared with torch.optim.AdamW.
"""

import json
import math
import pathlib

import torch
from transformers import (
    get_cosine_schedule_with_warmup,
    get_linear_schedule_with_warmup,
    get_wsd_schedule,
)

HERE = pathlib.Path(__file__).resolve().parent
torch.manual_seed(16)
torch.set_default_dtype(torch.float64)


def rates(make):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
    schedule = make(optimizer)
    out = []
    for _ in range(112):
        out.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return out


def wsd(shape):
    return lambda o: get_wsd_schedule(
        o, num_warmup_steps=10, num_training_steps=110, num_decay_steps=40, decay_type=shape, min_lr_ratio=0.1
    )


def update(p, g, m, v, t, lr, b1, b2, eps, wd, clip):
    m = b1 * m + (1 - b1) * g
    v = b2 * v + (1 - b2) * g * g
    m_hat, v_hat = m / (1 - b1**t), v / (1 - b2**t)
    rms = (g * g / torch.clamp(v_hat, min=eps * eps)).mean().sqrt().item()
    if clip:
        lr = lr / max(1.0, rms)
    p = p - lr * wd * p - lr * m_hat / (v_hat.sqrt() + eps)
    return p, m, v, rms


def run(clip, gradients, start):
    p, m, v, rms = start.clone(), torch.zeros_like(start), torch.zeros_like(start), []
    settings = dict(lr=1e-2, b1=0.9, b2=0.95, eps=1e-6, wd=0.1)
    out = []
    for t, g in enumerate(gradients, 1):
        p, m, v, r = update(p, g, m, v, t, clip=clip, **settings)
        rms.append(r)
        out.append(p.tolist())
    return out, rms


# The fifth gradient is 30 times larger than those before it.
start = torch.randn(24).to(torch.float32).to(torch.float64)
scales = [1, 0.5, 0.8, 1.1, 30, 2, 1, 0.3, 0.6, 1, 0, 0.5]
gradients = [(torch.randn(24) * s).to(torch.float32).to(torch.float64) for s in scales]
stable, rms = run(True, gradients, start)
plain, _ = run(False, gradients, start)

parameter = torch.nn.Parameter(start.clone())
adamw = torch.optim.AdamW([parameter], lr=1e-2, betas=(0.9, 0.95), eps=1e-6, weight_decay=0.1)
for g, expected in zip(gradients, plain):
    parameter.grad = g.clone()
    adamw.step()
    assert torch.allclose(parameter.detach(), torch.tensor(expected), rtol=1e-10, atol=1e-12)
assert max(rms) > 2 and min(rms) < 1, rms
assert max(abs(a - b) for a, b in zip(stable[-1], plain[-1])) > 1e-3

average = start.clone()
averages = []
for weights in stable:
    average = 0.9 * average + 0.1 * torch.tensor(weights)
    averages.append(average.tolist())

(HERE / "recipes.json").write_text(
    json.dumps(
        {
            "made_by": f"make_recipes.py, torch {torch.__version__.split('+')[0]}",
            "rates": {
                "linear": rates(lambda o: get_linear_schedule_with_warmup(o, 10, 110)),
                "cosine": rates(lambda o: get_cosine_schedule_with_warmup(o, 10, 110)),
                "wsd-linear": rates(wsd("linear")),
                "wsd-cosine": rates(wsd("cosine")),
                "wsd-sqrt": rates(wsd("1-sqrt")),
            },
            "start": start.tolist(),
            "gradients": [g.tolist() for g in gradients],
            "rms": rms,
            "stable": stable,
            "plain": plain,
            "averages": averages,
        },
        indent=None,
    )
    + "\n"
)
