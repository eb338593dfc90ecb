"""
AdamW in PyTorch late in a run, the other side of `npm run bench -- adamw`.

    python torch_adamw.py CONFIG    CONFIG: JSON, see packages/optim/bench/adamw.bench.mjs

The fused implementation. Reads a number of steps a line, answers with a line of JSON.
"""

import json
import resource
import sys
import time

import torch
from formula_values import unit


def main() -> None:
    config = json.loads(sys.argv[1])
    length = config["length"]
    torch.set_num_threads(config["threads"])
    start = time.perf_counter()
    param = torch.from_numpy(unit("param", length)).float().requires_grad_()
    param.grad = 1e-3 * torch.from_numpy(unit("grad", length)).float()
    optimizer = torch.optim.AdamW(
        [param], lr=config["lr"], betas=config["betas"], eps=config["eps"], weight_decay=0.2, fused=True
    )

    def step() -> float:
        begin = time.perf_counter()
        optimizer.step()
        return (time.perf_counter() - begin) * 1e3

    def say(message: dict) -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**message, "rssMib": round(peak)}), flush=True)

    for number in range(config["warmup"]):
        step()
        if number == 0:
            param.grad[: int(config["unseen"] * length)] = 0
    say({"losses": [param[0].item()], "readySeconds": time.perf_counter() - start})
    for line in sys.stdin:
        say({"ms": [step() for _ in range(int(line))]})


main()
