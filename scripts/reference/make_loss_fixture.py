"""
Losses and gradients of open_clip's ClipLoss, SigLipLoss and DistillClipLoss, and of PyTorch's cross_entropy with label
smoothing, with pairs left out and with a temperature, for the tests of packages/loss.

    python make_loss_fixture.py [OUTPUT_DIRECTORY]
"""

import math
import os
import sys

import torch
import torch.nn.functional as F
from fixture_json import numbers, versions, write
from formula_values import filled
from open_clip.loss import ClipLoss, DistillClipLoss, SigLipLoss
from open_clip.version import __version__ as open_clip_version

BATCH, DIMENSION = 6, 5
KEYS = [3, 1, 3, 4, 1, 3]
TEACHER_LOGIT_SCALE = math.log(9)


def tensor(name: str) -> torch.Tensor:
    return torch.from_numpy(filled(name, (BATCH, DIMENSION))).double()


def masked_cross_entropy(image, text, scale, smoothing=0.0):
    """Pairs of equal keys but for own ones are left out: -infinity, and smoothing is spread over the others."""
    keys = torch.tensor(KEYS)
    left_out = (keys[:, None] == keys[None]) & ~torch.eye(BATCH, dtype=torch.bool)

    def one_way(logits):
        rows = [F.cross_entropy(row[~out], torch.tensor(int((~out)[:i].sum())), label_smoothing=smoothing) for i, (row, out) in enumerate(zip(logits, left_out))]
        return torch.stack(rows).mean()

    logits = scale * image @ text.T
    return (one_way(logits) + one_way(logits.T)) / 2


def smoothed(image, text, scale, smoothing):
    labels, logits = torch.arange(BATCH), scale * image @ text.T
    return sum(F.cross_entropy(one, labels, label_smoothing=smoothing) for one in (logits, logits.T)) / 2


def distilled(image, text, scale, weight, temperature):
    teacher = tensor("loss.teacher.image"), tensor("loss.teacher.text")
    contrastive = ClipLoss()(image, text, scale)
    _, distillation = DistillClipLoss()(image, text, scale / temperature, *teacher, math.exp(TEACHER_LOGIT_SCALE) / temperature)
    return contrastive + weight * temperature**2 * distillation


def case(name: str, loss, logit_scale: float, logit_bias=None, masked=False, **options) -> dict:
    image, text = tensor("loss.image").requires_grad_(), tensor("loss.text").requires_grad_()
    scale = torch.tensor(logit_scale, dtype=torch.float64, requires_grad=True)
    bias = torch.tensor(logit_bias or 0.0, dtype=torch.float64, requires_grad=True)
    value = loss(image, text, scale.exp()) if logit_bias is None else loss(image, text, scale.exp(), bias)
    value.backward()
    return {
        "name": name,
        "logitScale": logit_scale,
        **({} if logit_bias is None else {"logitBias": logit_bias}),
        "masked": masked,
        **options,
        "loss": numbers(value.detach())[0],
        "dImage": numbers(image.grad),
        "dText": numbers(text.grad),
        "dLogitScale": numbers(scale.grad)[0],
        "dLogitBias": 0.0 if bias.grad is None else numbers(bias.grad)[0],
    }


CASES = [
    case("ClipLoss", ClipLoss(), 1.25, type="clip"),
    case("cross_entropy with label smoothing", lambda *x: smoothed(*x, 0.125), 1.25, type="clip", labelSmoothing=0.125),
    case("cross_entropy of the pairs that are left", masked_cross_entropy, 1.25, masked=True, type="clip"),
    case("cross_entropy of the pairs that are left, with label smoothing", lambda *x: masked_cross_entropy(*x, 0.25), 1.25, masked=True, type="clip", labelSmoothing=0.25),
    case("DistillClipLoss", lambda *x: distilled(*x, 1, 1), 1.25, type="clip", distill={"weight": 1, "temperature": 1}),
    case("DistillClipLoss with weight and temperature", lambda *x: distilled(*x, 0.5, 2), 1.25, type="clip", distill={"weight": 0.5, "temperature": 2}),
    case("SigLipLoss", SigLipLoss(), 1.25, -1.5, type="siglip"),
    case("SigLipLoss with its initial values", SigLipLoss(), math.log(10), -10.0, type="siglip"),
]

if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    output = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "../../packages/loss/src/fixtures")
    torch.set_num_threads(1)
    write(os.path.join(output, "loss-torch.json"), {
        "madeBy": "scripts/reference/make_loss_fixture.py",
        "versions": versions(torch=torch.__version__, open_clip=open_clip_version),
        "about": "Embeddings follow scripts/reference/formula_values.py: loss.image, loss.text, loss.teacher.image and .text, [batch, dimension], not normalised. Computed in float64.",
        "batch": BATCH, "dimension": DIMENSION, "keys": KEYS, "teacherLogitScale": TEACHER_LOGIT_SCALE,
        "cases": CASES,
    })
