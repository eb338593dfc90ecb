"""
One rank's contrastive loss with all gradients in PyTorch, the other side of `npm run bench -- loss`.

    python torch_loss.py CONFIG    CONFIG: JSON, see packages/loss/bench/loss.bench.mjs

As open_clip computes it with local_loss and gather_with_grad: this rank's rows against all rows, both matrices of logits
[b,B] whole, differentiated automatically with respect to own and gathered rows and the scale. Gathering is left out, as
it is on our side. Reads a number of steps a line, answers with a line of JSON.
"""

import json
import resource
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from formula_values import unit


BLOCK = 64


def unit_rows(name: str, rows: int, dimension: int) -> torch.Tensor:
    """The rows of length 1 that packages/loss/bench/loss-participant.mjs makes, in blocks, which spares memory."""
    values = np.empty((rows, dimension), np.float32)
    for begin in range(0, rows, BLOCK):
        wide = unit(f"{name} {begin}", BLOCK * dimension).reshape(BLOCK, dimension)
        values[begin : begin + BLOCK] = wide / np.sqrt((wide**2).sum(1, keepdims=True))
    return torch.from_numpy(values)


def rss_mib() -> float:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize() / 2**20


def main() -> None:
    config = json.loads(sys.argv[1])
    b, B, dimension = config["localRows"], config["globalRows"], config["dimension"]
    torch.set_num_threads(config["threads"])
    start = time.perf_counter()
    # The first product loads and starts what is no part of the loss.
    (torch.ones(2, 2, requires_grad=True) @ torch.ones(2, 2)).sum().backward()
    before = rss_mib()
    images, texts = (unit_rows(name, B, dimension).requires_grad_() for name in ("images", "texts"))
    image, text = (rows[:b].detach().clone().requires_grad_() for rows in (images, texts))
    log_scale = torch.tensor(config["logitScale"], requires_grad=True)
    labels = torch.arange(b)
    leaves = (images, texts, image, text, log_scale)

    def step() -> tuple[float, float]:
        begin = time.perf_counter()
        for leaf in leaves:
            leaf.grad = None
        scale = log_scale.exp()
        per_image = scale * image @ texts.T
        per_text = scale * text @ images.T
        loss = (F.cross_entropy(per_image, labels) + F.cross_entropy(per_text, labels)) / 2
        loss.backward()
        return loss.item(), (time.perf_counter() - begin) * 1e3

    def say(message: dict) -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**message, "rssMib": round(peak)}), flush=True)

    losses = [step()[0] for _ in range(config["warmup"])]
    say({"losses": losses, "readySeconds": time.perf_counter() - start, "beforeMib": before})
    for line in sys.stdin:
        say({"ms": [step()[1] for _ in range(int(line))]})


main()
