"""
One train step of clip-tiny in open_clip, for the tests of packages/model.

    python make_clip_tiny_fixture.py [OUTPUT_DIRECTORY]

Needs torch, open_clip_torch and numpy; the versions used are written into the fixtures. Parameters and inputs follow
formula_values.py, so a test rebuilds them instead of reading them.
"""

import os
import sys

import numpy as np
import torch
from fixture_json import numbers, versions, write
from formula_values import filled, mixed
from open_clip.loss import ClipLoss, SigLipLoss
from open_clip.model import CLIP
from open_clip.version import __version__ as open_clip_version

CONFIG = {
    "embed_dim": 128,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 128, "patch_size": 8, "head_width": 64},
    "text_cfg": {"context_length": 16, "vocab_size": 512, "width": 128, "heads": 2, "layers": 2},
}
BATCH, SIZE, CONTEXT, VOCABULARY = 8, 32, 16, 512
LOGIT_SCALE = float(np.log(1 / 0.07))
LOGIT_BIAS = -10.0
ADAMW = {"lr": 1e-3, "betas": [0.9, 0.98], "eps": 1e-6, "weightDecay": 0.2}
SMALL = 128
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def scale_and_offset(name: str, shape: tuple) -> tuple[float, float]:
    """How the formula fills a parameter: offset + scale * u."""
    if name == "logit_scale":
        return 0.0, LOGIT_SCALE
    if name == "logit_bias":
        return 0.0, LOGIT_BIAS
    if len(shape) == 1:
        is_gain = name.endswith(".weight")
        return 0.125, 1.0 if is_gain else 0.0
    if "embedding" in name:
        return 0.25, 0.0
    return 0.125, 0.0


def build(config: dict) -> CLIP:
    model = CLIP(**config).float().train()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            scale, offset = scale_and_offset(name, tuple(parameter.shape))
            parameter.copy_(torch.from_numpy(filled(name, tuple(parameter.shape), scale, offset)))
    return model


def inputs() -> tuple[np.ndarray, np.ndarray]:
    """Images [8,32,32,3] (NHWC), bytes normalised with CLIP's statistics, and tokens [8,16]: 510, words below 510, 511 (end of text), zeros."""
    pixels = (mixed("images", BATCH * SIZE * SIZE * 3) >> np.uint64(8)) % 256
    images = ((pixels.reshape(BATCH, SIZE, SIZE, 3) / 255 - np.array(MEAN)) / np.array(STD)).astype(np.float32)
    words = mixed("tokens", BATCH * CONTEXT).reshape(BATCH, CONTEXT) % (VOCABULARY - 2)
    tokens = np.zeros((BATCH, CONTEXT), dtype=np.int64)
    for row in range(BATCH):
        length = 3 + row  # words of the caption
        tokens[row, 0] = VOCABULARY - 2
        tokens[row, 1 : 1 + length] = words[row, :length]
        tokens[row, 1 + length] = VOCABULARY - 1
    return images, tokens


def encode(model: CLIP, images: np.ndarray, tokens: np.ndarray):
    pictures = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    return model(pictures, torch.from_numpy(tokens))


def decays(name: str, parameter: torch.Tensor) -> bool:
    """open_clip_train.main: no weight decay on gains and biases, nor on the logit scale."""
    excluded = parameter.ndim < 2 or "bn" in name or "ln" in name or "bias" in name or "logit_scale" in name
    return not excluded


def norm(tensor: torch.Tensor) -> float:
    return float(tensor.detach().double().norm())


def adamw(named: list) -> torch.optim.AdamW:
    return torch.optim.AdamW(
        [
            {"params": [p for n, p in named if not decays(n, p)], "weight_decay": 0.0},
            {"params": [p for n, p in named if decays(n, p)], "weight_decay": ADAMW["weightDecay"]},
        ],
        lr=ADAMW["lr"],
        betas=tuple(ADAMW["betas"]),
        eps=ADAMW["eps"],
    )


def train_step_fixture() -> dict:
    model = build(CONFIG)
    images, tokens = inputs()
    named = list(model.named_parameters())
    initial = {name: parameter.detach().clone() for name, parameter in named}
    optimizer = adamw(named)
    contrastive = ClipLoss()
    losses, first = [], {}
    parameters = {
        name: {
            "shape": list(parameter.shape),
            "decays": decays(name, parameter),
            "scale": scale_and_offset(name, tuple(parameter.shape))[0],
            "offset": scale_and_offset(name, tuple(parameter.shape))[1],
            "initialFirst": numbers(parameter.detach().reshape(-1)[:8]),
        }
        for name, parameter in named
    }
    for step in range(1, 4):
        optimizer.zero_grad()
        image_emb, text_emb, scale = encode(model, images, tokens)
        loss = contrastive(image_emb, text_emb, scale)
        loss.backward()
        losses.append(float(str(np.float32(loss.item()))))
        if step == 1:
            first = {"imageEmbeddings": numbers(image_emb.detach()), "textEmbeddings": numbers(text_emb.detach())}
            for name, parameter in named:
                gradient = parameter.grad.reshape(-1)
                shown = gradient if gradient.numel() <= SMALL else gradient[:8]
                parameters[name].update(gradNorm=norm(gradient), grad=numbers(shown))
        optimizer.step()
        if step in (1, 3):
            for name, parameter in named:
                parameters[name][f"after{step}"] = {
                    "first": numbers(parameter.detach().reshape(-1)[:8]),
                    "changeNorm": norm(parameter - initial[name]),
                }
    return {
        "madeBy": "scripts/reference/make_clip_tiny_fixture.py",
        "versions": versions(torch=torch.__version__, open_clip=open_clip_version),
        "about": "Parameters, images and tokens follow scripts/reference/formula_values.py (formulaValues of @clipyard/testkit). `losses`: before steps 1, 2 "
        "and 3 of AdamW on the same batch. `grad`: all values of parameters up to 128 elements, else the first 8.",
        "config": CONFIG,
        "adamw": ADAMW,
        "stateDict": {name: list(value.shape) for name, value in model.state_dict().items()},
        "images": {"name": "images", "shape": list(images.shape), "layout": "NHWC", "pixels": "(formula word >> 8) % 256, normalised with CLIP's mean and std", "first": numbers(images.reshape(-1)[:8])},
        "tokens": tokens.tolist(),
        "logitScale": float(str(np.float32(LOGIT_SCALE))),
        "embeddingShape": [BATCH, CONFIG["embed_dim"]],
        **first,
        "losses": losses,
        "parameters": parameters,
    }


def siglip_fixture() -> dict:
    model = build({**CONFIG, "init_logit_bias": LOGIT_BIAS})
    images, tokens = inputs()
    named = list(model.named_parameters())
    initial = {name: parameter.detach().clone() for name, parameter in named}
    optimizer = adamw(named)
    losses, scales, biases = [], [], []
    for _ in range(3):
        optimizer.zero_grad()
        loss = SigLipLoss()(*encode(model, images, tokens))
        loss.backward()
        optimizer.step()
        losses += numbers(loss.detach())
        scales += numbers(model.logit_scale.detach())
        biases += numbers(model.logit_bias.detach())
    return {
        "madeBy": "scripts/reference/make_clip_tiny_fixture.py",
        "versions": versions(torch=torch.__version__, open_clip=open_clip_version),
        "about": "The parameters and inputs of clip-tiny-torch.json with a logit bias, under SigLipLoss. `losses`: before steps 1, 2 and 3 of AdamW on the same batch. `changeNorms`: of the parameters, by all three.",
        "initLogitBias": LOGIT_BIAS,
        "losses": losses,
        "logitScales": scales,
        "logitBiases": biases,
        "changeNorms": {name: norm(parameter - initial[name]) for name, parameter in named},
    }


def gelu_fixture() -> dict:
    config = {**CONFIG, "quick_gelu": False}
    images, tokens = inputs()
    with torch.no_grad():
        image_emb, text_emb, scale = encode(build(config), images, tokens)
        loss = ClipLoss()(image_emb, text_emb, scale)
    return {
        "madeBy": "scripts/reference/make_clip_tiny_fixture.py",
        "versions": versions(torch=torch.__version__, open_clip=open_clip_version),
        "about": "The same parameters and inputs as clip-tiny-torch.json, with the exact GELU.",
        "config": config,
        "embeddingShape": [BATCH, config["embed_dim"]],
        "imageEmbeddings": numbers(image_emb),
        "textEmbeddings": numbers(text_emb),
        "loss": float(str(np.float32(loss.item()))),
    }


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    output = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "../../packages/model/src/fixtures")
    torch.set_num_threads(1)
    write(os.path.join(output, "clip-tiny-torch.json"), train_step_fixture())
    write(os.path.join(output, "clip-tiny-gelu-torch.json"), gelu_fixture())
    write(os.path.join(output, "clip-tiny-siglip-torch.json"), siglip_fixture())
