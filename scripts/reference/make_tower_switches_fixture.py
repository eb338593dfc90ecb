"""
The towers with patch dropout and with MLP projections, of open_clip and PyTorch, for the tests of packages/model.

    python make_tower_switches_fixture.py [OUTPUT_DIRECTORY]

Needs torch, open_clip_torch and numpy; the versions used are written into the fixture. Parameters, inputs and cotangents
follow formula_values.py, so a test rebuilds them instead of reading them.
"""

import os
import sys

import numpy as np
import torch
import torch.nn.functional as F
from fixture_json import numbers, versions, write
from formula_values import filled, mixed
from make_clip_tiny_fixture import BATCH, inputs, norm, scale_and_offset
from open_clip.model import CLIP
from open_clip.transformer import PatchDropout
from open_clip.version import __version__ as open_clip_version
from torch import nn

CONFIG = {
    "embed_dim": 32,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 8, "head_width": 32},
    "text_cfg": {"context_length": 16, "vocab_size": 512, "width": 64, "heads": 2, "layers": 1},
}
PATCHES, HIDDEN, DROPOUT = 16, 48, 0.4


class FixedDropout(nn.Module):
    """open_clip's PatchDropout with a choice that is given."""

    def __init__(self, kept: np.ndarray):
        super().__init__()
        self.kept = torch.from_numpy(kept)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = torch.arange(x.shape[0])[:, None]
        return torch.cat([x[:, :1], x[:, 1:][rows, self.kept]], dim=1)


class Head(nn.Module):
    def __init__(self, width: int, hidden: int, embed: int):
        super().__init__()
        self.fc = nn.Linear(width, hidden)
        self.out = nn.Linear(hidden, embed)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(F.gelu(self.fc(x)))


def fill(model: nn.Module) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            scale, offset = scale_and_offset(name, tuple(parameter.shape))
            parameter.copy_(torch.from_numpy(filled(name, tuple(parameter.shape), scale, offset)))


def results(model: nn.Module, encode) -> dict:
    """Embeddings, and the gradients of their products with the cotangents."""
    embedded = encode()
    shape = tuple(embedded[0].shape)
    total = sum((e * torch.from_numpy(filled(name, shape))).sum() for e, name in zip(embedded, ("dImage", "dText")))
    total.backward()
    return {
        "image": numbers(embedded[0].detach()),
        "text": numbers(embedded[1].detach()),
        "parameters": {
            name: {
                "shape": list(parameter.shape),
                "scale": scale_and_offset(name, tuple(parameter.shape))[0],
                "offset": scale_and_offset(name, tuple(parameter.shape))[1],
                "gradNorm": norm(parameter.grad),
                "grad": numbers(parameter.grad.reshape(-1)[:8]),
            }
            for name, parameter in model.named_parameters()
            if parameter.grad is not None
        },
    }


def patch_dropout() -> dict:
    kept_count = max(1, int(PATCHES * (1 - DROPOUT)))
    probe = PatchDropout(DROPOUT).train()(torch.zeros(1, PATCHES + 1, 4))
    assert probe.shape[1] == kept_count + 1
    words = mixed("kept", BATCH * PATCHES).reshape(BATCH, PATCHES)
    kept = np.sort(np.argsort(words, axis=1, kind="stable")[:, :kept_count], axis=1)
    model = CLIP(**CONFIG).float().train()
    model.visual.patch_dropout = FixedDropout(kept)
    fill(model)
    images, tokens = inputs()
    pictures = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    encode = lambda: model(pictures, torch.from_numpy(tokens))[:2]
    return {"patchDropout": DROPOUT, "kept": kept.tolist(), **results(model, encode)}


def mlp_projection() -> dict:
    model = CLIP(**CONFIG).float().train()
    embed = CONFIG["embed_dim"]
    model.visual.proj = None
    model.text_projection = None
    model.visual.projection_head = Head(CONFIG["vision_cfg"]["width"], HIDDEN, embed)
    model.text_projection_head = Head(CONFIG["text_cfg"]["width"], HIDDEN, embed)
    fill(model)
    images, tokens = inputs()
    pictures = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()

    def encode():
        image = model.visual.projection_head(model.encode_image(pictures))
        text = model.text_projection_head(model.encode_text(torch.from_numpy(tokens)))
        return F.normalize(image, dim=-1), F.normalize(text, dim=-1)

    return {"hidden": HIDDEN, **results(model, encode)}


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    output = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "../../packages/model/src/fixtures")
    torch.set_num_threads(1)
    fixture = {
        "madeBy": "scripts/reference/make_tower_switches_fixture.py",
        "versions": versions(torch=torch.__version__, open_clip=open_clip_version),
        "about": "Parameters, images, tokens and the cotangents dImage and dText follow scripts/reference/formula_values.py. `grad`: the first 8 values.",
        "config": CONFIG,
        "tokens": inputs()[1].tolist(),
        "patchDropout": patch_dropout(),
        "mlpProjection": mlp_projection(),
    }
    write(os.path.join(output, "tower-switches-torch.json"), fixture)
