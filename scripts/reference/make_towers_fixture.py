"""
Towers in open_clip beyond the plain ViT, for the tests of packages/model and packages/trainer: the modified ResNet over
two train steps, and variants of both towers (pooling, masks, projections).

    python make_towers_fixture.py [OUTPUT_DIRECTORY]

Needs torch, open_clip_torch and numpy; the versions used are written into the fixtures. Parameters and inputs follow
formula_values.py, so a test rebuilds them instead of reading them.
"""

import os
import sys

import numpy as np
import torch
from fixture_json import numbers, versions, write
from formula_values import filled, mixed
from make_clip_tiny_fixture import ADAMW, LOGIT_SCALE, MEAN, STD, decays, norm
from open_clip.loss import ClipLoss
from open_clip.model import CLIP, CustomTextCLIP
from open_clip.version import __version__ as open_clip_version

BATCH = 4
SHOWN = 6
TEXT = {"context_length": 8, "vocab_size": 64, "width": 32, "heads": 2, "layers": 2}
VIT = {"image_size": 32, "layers": 2, "width": 32, "patch_size": 8, "head_width": 16}
RESNET = {
    "embed_dim": 32,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 64, "layers": [1, 2, 1, 1], "width": 16, "head_width": 64, "patch_size": None},
    "text_cfg": {**TEXT, "layers": 1},
}
VARIANTS = {
    "as in SigLIP's text tower": {
        "embed_dim": 24,
        "custom_text": True,
        "init_logit_bias": -10,
        "vision_cfg": {**VIT, "pool_type": "avg", "final_ln_after_pool": True, "no_ln_pre": True, "norm_kwargs": {"eps": 1e-6}},
        "text_cfg": {**TEXT, "no_causal_mask": True, "pool_type": "last", "proj_bias": True, "norm_kwargs": {"eps": 1e-3}},
    },
    "attention pooling of one width, means, first token": {
        "embed_dim": 32,
        "vision_cfg": {**VIT, "attentional_pool": True, "attn_pooler_queries": 5, "attn_pooler_heads": 4, "pool_type": "avg"},
        "text_cfg": {**TEXT, "pool_type": "first", "no_causal_mask": True, "proj_type": "none"},
    },
    "attention pooling of two widths, a token that ends": {
        "embed_dim": 24,
        "quick_gelu": True,
        "vision_cfg": {**VIT, "attentional_pool": True, "attn_pooler_queries": 3, "attn_pooler_heads": 2},
        "text_cfg": {**TEXT, "pool_type": "eos", "eos_id": 63},
    },
    "means before the last norm": {
        "embed_dim": 24,
        "vision_cfg": {**VIT, "pool_type": "avg"},
        "text_cfg": {**TEXT, "pool_type": "last"},
    },
}


def scale_and_offset(name: str, shape: tuple) -> tuple[float, float]:
    """How the formula fills a parameter: offset + scale * u."""
    if name == "logit_scale":
        return 0.0, LOGIT_SCALE
    if name == "logit_bias":
        return 0.0, -10.0
    if len(shape) == 1:
        is_gain = name.endswith(".weight")
        return 0.125, 1.0 if is_gain else 0.0
    if len(shape) == 4:  # a filter: so that its results have a variance of about 1
        return (3 / np.prod(shape[1:])) ** 0.5, 0.0
    return 0.25, 0.0


def build(config: dict):
    arguments = {key: value for key, value in config.items() if key != "custom_text"}
    model = (CustomTextCLIP if config.get("custom_text") else CLIP)(**arguments).float().train()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            scale, offset = scale_and_offset(name, tuple(parameter.shape))
            parameter.copy_(torch.from_numpy(filled(name, tuple(parameter.shape), scale, offset)))
    return model


def images(size: int, name: str = "images") -> np.ndarray:
    """[n,size,size,3] (NHWC), bytes normalised with CLIP's statistics."""
    pixels = (mixed(name, BATCH * size * size * 3) >> np.uint64(8)) % 256
    return ((pixels.reshape(BATCH, size, size, 3) / 255 - np.array(MEAN)) / np.array(STD)).astype(np.float32)


def tokens() -> np.ndarray:
    """[n,8]: 62, words below 62, 63 (end of text), zeros."""
    context, vocabulary = TEXT["context_length"], TEXT["vocab_size"]
    words = mixed("tokens", BATCH * context).reshape(BATCH, context) % (vocabulary - 2)
    rows = np.zeros((BATCH, context), dtype=np.int64)
    for row in range(BATCH):
        length = 2 + row
        rows[row, 0] = vocabulary - 2
        rows[row, 1 : 1 + length] = words[row, :length]
        rows[row, 1 + length] = vocabulary - 1
    return rows


def encode(model, pictures: np.ndarray, captions: np.ndarray):
    return model(torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(captions))[:3]


def described(model) -> dict:
    return {
        name: {
            "shape": list(parameter.shape),
            "decays": decays(name, parameter),
            "scale": scale_and_offset(name, tuple(parameter.shape))[0],
            "offset": scale_and_offset(name, tuple(parameter.shape))[1],
        }
        for name, parameter in model.named_parameters()
    }


def gradients(model) -> dict:
    return {
        name: {"gradNorm": norm(parameter.grad), "grad": numbers(parameter.grad.reshape(-1)[:SHOWN])}
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


def buffers(model) -> dict:
    return {name: {"norm": norm(value), "first": numbers(value.reshape(-1)[:SHOWN])} for name, value in model.named_buffers() if "running" in name or "tracked" in name}


def optimizer_of(model):
    named = list(model.named_parameters())
    return torch.optim.AdamW(
        [
            {"params": [p for n, p in named if not decays(n, p)], "weight_decay": 0.0},
            {"params": [p for n, p in named if decays(n, p)], "weight_decay": ADAMW["weightDecay"]},
        ],
        lr=ADAMW["lr"],
        betas=tuple(ADAMW["betas"]),
        eps=ADAMW["eps"],
    )


def about(text: str) -> dict:
    return {
        "madeBy": "scripts/reference/make_towers_fixture.py",
        "versions": versions(torch=torch.__version__, open_clip=open_clip_version),
        "about": f"Parameters, images and tokens follow scripts/reference/formula_values.py (formulaValues of @clipyard/testkit). {text}",
    }


# Pictures by name, of a step each: those of 1 to 40 with which no ReLU of the first step gets less than 1e-5 from zero.
# Closer than a rounding error, its gradient is a toss-up, and with it every one below it, by about a hundredth.
PICTURES = ("images 26", "images 16")


def resnet_fixture() -> dict:
    model = build(RESNET)
    size = RESNET["vision_cfg"]["image_size"]
    parameters = described(model)
    optimizer = optimizer_of(model)
    steps = []
    for step, pictures in enumerate(PICTURES, 1):
        optimizer.zero_grad()
        image_emb, text_emb, scale = encode(model, images(size, pictures), tokens())
        loss = ClipLoss()(image_emb, text_emb, scale)
        loss.backward()
        optimizer.step()
        if step == 1:
            for name, values in gradients(model).items():
                parameters[name].update(values)
        steps.append(
            {
                "loss": float(str(np.float32(loss.item()))),
                "imageEmbeddings": numbers(image_emb.detach()),
                "buffers": buffers(model),
            }
        )
    with torch.no_grad():
        evaluated = encode(model.eval(), images(size, PICTURES[0]), tokens())[0]
    for name, parameter in model.named_parameters():
        parameters[name]["after2"] = numbers(parameter.detach().reshape(-1)[:2])
    return {
        **about(
            f"Two steps of AdamW on other images each; `grad`: the first {SHOWN} values, at step 1; `buffers`: after a step; `after2`: "
            "parameters after both; `evaluated`: embeddings of the first images then, by running statistics."
        ),
        "config": RESNET,
        "adamw": ADAMW,
        "stateDict": {name: list(value.shape) for name, value in model.state_dict().items()},
        "tokens": tokens().tolist(),
        "pictures": PICTURES,
        "steps": steps,
        "evaluated": numbers(evaluated),
        "parameters": parameters,
    }


def variant_fixture(config: dict) -> dict:
    model = build(config)
    image_emb, text_emb, scale = encode(model, images(VIT["image_size"]), tokens())
    ClipLoss()(image_emb, text_emb, scale).backward()
    parameters = described(model)
    for name, values in gradients(model).items():
        parameters[name].update(values)
    return {
        "config": config,
        "imageEmbeddings": numbers(image_emb.detach()),
        "textEmbeddings": numbers(text_emb.detach()),
        "parameters": parameters,
    }


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    output = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "../../packages/model/src/fixtures")
    torch.set_num_threads(1)
    write(os.path.join(output, "resnet-torch.json"), resnet_fixture())
    write(
        os.path.join(output, "tower-variants-torch.json"),
        {
            **about(f"`grad`: the first {SHOWN} values under CLIP's loss."),
            "tokens": tokens().tolist(),
            "variants": {name: variant_fixture(config) for name, config in VARIANTS.items()},
        },
    )
