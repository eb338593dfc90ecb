"""
Ten AdamW steps of PyTorch, gradient clipping, and open_clip's learning-rate schedules, for the tests of packages/optim.

    python make_optim_fixture.py [OUTPUT_DIRECTORY]
"""

import os
import sys

import torch
from fixture_json import numbers, versions, write
from formula_values import filled
from open_clip.version import __version__ as open_clip_version
from open_clip_train.scheduler import const_lr, const_lr_cooldown, cosine_lr

LENGTH, STEPS, DECAYED = 48, 10, 32
BETAS, EPS, WEIGHT_DECAY = (0.9, 0.98), 1e-6, 0.2


class Recorder:
    """What open_clip's schedules assign a learning rate to."""

    def __init__(self):
        self.param_groups = [{"lr": 0.0}]


def adamw_fixture() -> dict:
    start = filled("adamw.param", (LENGTH,))
    decayed = torch.nn.Parameter(torch.from_numpy(start[:DECAYED].copy()))
    plain = torch.nn.Parameter(torch.from_numpy(start[DECAYED:].copy()))
    optimizer = torch.optim.AdamW(
        [{"params": [decayed], "weight_decay": WEIGHT_DECAY}, {"params": [plain], "weight_decay": 0.0}],
        lr=1.0, betas=BETAS, eps=EPS,
    )
    lrs, params = [], []
    for step in range(STEPS):
        # Scales over nine decades: what eps does must show.
        gradient = torch.from_numpy(filled(f"adamw.grad.{step}", (LENGTH,), 10.0 ** (-(step % 9))))
        lr = 1e-2 / (step + 1)
        for group in optimizer.param_groups:
            group["lr"] = lr
        decayed.grad, plain.grad = gradient[:DECAYED].clone(), gradient[DECAYED:].clone()
        optimizer.step()
        lrs.append(lr)
        params.append(numbers(torch.cat([decayed, plain]).detach()))
    state = [optimizer.state[p] for p in (decayed, plain)]
    return {
        "length": LENGTH, "decayed": DECAYED, "betas": list(BETAS), "eps": EPS, "weightDecay": WEIGHT_DECAY,
        "lrs": lrs, "params": params,
        "m": numbers(torch.cat([s["exp_avg"] for s in state])),
        "v": numbers(torch.cat([s["exp_avg_sq"] for s in state])),
    }


def clipping_fixture() -> list:
    cases = []
    for max_norm in (0.5, 3.0, 100.0):
        gradient = torch.from_numpy(filled("clip.grad", (64,)))
        parameter = torch.nn.Parameter(torch.zeros(64))
        parameter.grad = gradient
        norm = torch.nn.utils.clip_grad_norm_([parameter], max_norm)
        cases.append({"maxNorm": max_norm, "norm": float(norm), "first": numbers(parameter.grad[:8])})
    return cases


def schedule_fixture() -> list:
    cases = []
    for name, make in (("cosine", cosine_lr), ("constant", const_lr)):
        for warmup, total in ((0, 10), (4, 12), (2000, 5000)):
            adjust = make(Recorder(), 5e-4, warmup, *([total] if name == "cosine" else [total]))
            steps = range(total) if total < 100 else [0, 1, 999, 1999, 2000, 2001, 3500, 4999]
            cases.append({
                "type": name, "lr": 5e-4, "warmupSteps": warmup, "totalSteps": total,
                "values": [[step, adjust(step)] for step in steps],
            })
    for cooldown, power, end in ((5, 1.0, 0.0), (4, 2.0, 1e-5)):
        adjust = const_lr_cooldown(Recorder(), 5e-4, 3, 16, cooldown, power, end)
        cases.append({
            "type": "constant-cooldown", "lr": 5e-4, "warmupSteps": 3, "totalSteps": 16,
            "cooldownSteps": cooldown, "cooldownPower": power, "cooldownEnd": end,
            "values": [[step, adjust(step)] for step in range(16)],
        })
    return cases


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    output = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "../../packages/optim/src/fixtures")
    torch.set_num_threads(1)
    write(os.path.join(output, "optim-torch.json"), {
        "madeBy": "scripts/reference/make_optim_fixture.py",
        "versions": versions(torch=torch.__version__, open_clip=open_clip_version),
        "about": "Inputs follow scripts/reference/formula_values.py: adamw.param, adamw.grad.<step> scaled by 10^-(step mod 9), clip.grad.",
        "adamw": adamw_fixture(),
        "clipping": clipping_fixture(),
        "schedules": schedule_fixture(),
    })
