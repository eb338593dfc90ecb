"""
CLIP train steps in PyTorch, the other side of `npm run bench -- engine`.

    python torch_step.py CONFIG    CONFIG: JSON, see packages/trainer/bench/engine.bench.mjs

The model is open_clip's (same parameters, by the same names), written as lean as PyTorch allows: fused AdamW, scaled dot
product attention, and with `prune` the last block's projections run only on the rows that are read, as ours do. Reads a
number of steps a line, answers with a line of JSON.
"""

import json
import resource
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from formula_values import filled, mixed
from torch import nn

LOGIT_SCALE = float(np.log(1 / 0.07))
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


class Attention(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj = nn.Linear(width, width)


class Mlp(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)


class Block(nn.Module):
    def __init__(self, width: int, heads: int, quick: bool):
        super().__init__()
        self.heads, self.quick = heads, quick
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn, self.mlp = Attention(width), Mlp(width)

    def forward(self, x: torch.Tensor, causal: bool, pick=None) -> torch.Tensor:
        b, t, w = x.shape
        qkv = F.linear(self.ln_1(x), self.attn.in_proj_weight, self.attn.in_proj_bias)
        q, k, v = qkv.view(b, t, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        mixed_ = F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).reshape(b, t, w)
        if pick is not None:
            mixed_, x = pick(mixed_), pick(x)
        x = x + self.attn.out_proj(mixed_)
        hidden = self.mlp.c_fc(self.ln_2(x))
        return x + self.mlp.c_proj(hidden * torch.sigmoid(1.702 * hidden) if self.quick else F.gelu(hidden))


class Transformer(nn.Module):
    def __init__(self, width: int, layers: int, heads: int, quick: bool):
        super().__init__()
        self.resblocks = nn.ModuleList(Block(width, heads, quick) for _ in range(layers))

    def forward(self, x: torch.Tensor, causal: bool, pick) -> torch.Tensor:
        *first, last = self.resblocks
        for block in first:
            x = block(x, causal)
        return last(x, causal, pick)


class Visual(nn.Module):
    def __init__(self, embed: int, quick: bool, prune: bool, image_size, layers, width, patch_size, head_width=64, mlp_ratio=4):
        super().__init__()
        assert mlp_ratio == 4, "hidden layers are four times as wide"
        self.prune = prune
        self.conv1 = nn.Conv2d(3, width, patch_size, patch_size, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty((image_size // patch_size) ** 2 + 1, width))
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.transformer = Transformer(width, layers, width // head_width, quick)
        self.proj = nn.Parameter(torch.empty(width, embed))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.conv1(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], 1) + self.positional_embedding
        x = self.transformer(self.ln_pre(x), False, (lambda rows: rows[:, 0]) if self.prune else None)
        return F.normalize(self.ln_post(x if self.prune else x[:, 0]) @ self.proj, dim=-1)


class Clip(nn.Module):
    def __init__(self, config: dict, prune: bool):
        super().__init__()
        embed, quick, text = config["embed_dim"], config.get("quick_gelu", False), config["text_cfg"]
        self.prune = prune
        self.visual = Visual(embed, quick, prune, **config["vision_cfg"])
        self.token_embedding = nn.Embedding(text["vocab_size"], text["width"])
        self.positional_embedding = nn.Parameter(torch.empty(text["context_length"], text["width"]))
        self.transformer = Transformer(text["width"], text["layers"], text["heads"], quick)
        self.ln_final = nn.LayerNorm(text["width"])
        self.text_projection = nn.Parameter(torch.empty(text["width"], embed))
        self.logit_scale = nn.Parameter(torch.tensor(LOGIT_SCALE))

    def encode_text(self, tokens: torch.Tensor) -> torch.Tensor:
        rows, ends = torch.arange(len(tokens)), tokens.argmax(-1)
        pick = lambda x: x[rows, ends]  # noqa: E731
        x = self.token_embedding(tokens) + self.positional_embedding
        x = self.transformer(x, True, pick if self.prune else None)
        return F.normalize(self.ln_final(x if self.prune else pick(x)) @ self.text_projection, dim=-1)

    def forward(self, images: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.visual(images), self.encode_text(tokens)


def fill(model: Clip) -> None:
    """The values that packages/trainer/bench/step-participant.mjs gives the same parameters."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            shape = tuple(parameter.shape)
            if name == "logit_scale":
                continue
            gain = len(shape) == 1 and name.endswith(".weight")
            scale = 0.0625 if len(shape) == 1 else 0.0625 if shape[-1] < 512 else 0.03125
            parameter.copy_(torch.from_numpy(filled(name, shape, scale, 1.0 if gain else 0.0)))


def contrastive_loss(image: torch.Tensor, text: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    logits = scale.exp() * image @ text.T
    target = torch.arange(len(logits))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def main() -> None:
    config = json.loads(sys.argv[1])
    batch, micro = config["batch"], config["micro"]
    torch.set_num_threads(config["threads"])
    model = Clip(config["model"], config["prune"])
    fill(model)
    decayed = [p for n, p in model.named_parameters() if p.ndim >= 2]
    others = [p for n, p in model.named_parameters() if p.ndim < 2]
    adamw = config["adamw"]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": adamw["weightDecay"]}, {"params": others, "weight_decay": 0.0}],
        lr=adamw["lr"], betas=adamw["betas"], eps=adamw["eps"], fused=True,
    )
    encode = torch.compile(model) if config["compile"] else model

    size, text = config["model"]["vision_cfg"]["image_size"], config["model"]["text_cfg"]
    pixels = (mixed("images", batch * size * size * 3) >> np.uint64(8)) % 256
    images = ((pixels.reshape(batch, size, size, 3) / 255 - np.array(MEAN)) / np.array(STD)).astype(np.float32)
    images = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    length, vocabulary = text["context_length"], text["vocab_size"]
    tokens = (mixed("tokens", batch * length) % (vocabulary - 2)).astype(np.int64).reshape(batch, length)
    tokens[:, -1] = vocabulary - 1
    tokens = torch.from_numpy(tokens)

    def whole() -> torch.Tensor:
        loss = contrastive_loss(*encode(images, tokens), model.logit_scale)
        loss.backward()
        return loss

    def cached() -> torch.Tensor:
        """Gradient caching (Gao et al., arXiv 2101.06983), as our micro-batches."""
        parts = list(zip(images.split(micro), tokens.split(micro)))
        with torch.no_grad():
            pairs = [encode(*part) for part in parts]
        image, text_ = (torch.cat(side).requires_grad_() for side in zip(*pairs))
        loss = contrastive_loss(image, text_, model.logit_scale)
        loss.backward()
        for part, d_image, d_text in zip(parts, image.grad.split(micro), text_.grad.split(micro)):
            torch.autograd.backward(encode(*part), (d_image, d_text))
        return loss

    def step() -> tuple[float, float]:
        start = time.perf_counter()
        optimizer.zero_grad()
        loss = (whole if micro == batch else cached)()
        optimizer.step()
        value = loss.item()
        return value, (time.perf_counter() - start) * 1e3

    def say(message: dict) -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**message, "rssMib": round(peak)}), flush=True)

    start = time.perf_counter()
    losses = [step()[0] for _ in range(config["warmup"])]
    say({"losses": losses, "readySeconds": time.perf_counter() - start, "version": torch.__version__})
    for line in sys.stdin:
        say({"ms": [step()[1] for _ in range(int(line))]})


main()
