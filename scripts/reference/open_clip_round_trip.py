"""
The other side of the round trip with open_clip, for the tests and the bench of interchange.

    python open_clip_round_trip.py fixture [OUTPUT_DIRECTORY]   resampled position embeddings, committed
    python open_clip_round_trip.py make DIR CONFIG [--half]     a model of open_clip with random weights: DIR as the hub has it
    python open_clip_round_trip.py embed DIR INPUTS OUT         loads DIR strictly, embeds `images` and `tokens` of INPUTS
    python open_clip_round_trip.py resize DIR CONFIG OUT        loads DIR as a model of CONFIG would: its resampled positions
    python open_clip_round_trip.py serve                        these, one after another: a JSON list a line, and an answer a line

CONFIG is open_clip's model_cfg as JSON. INPUTS and OUT are safetensors: images [n,3,S,S], tokens [n,t] int64; embeddings
`image` and `text` of length 1. Needs torch, open_clip_torch, safetensors and numpy (scripts/reference/setup.sh); prints
their versions as JSON.
"""

import json
import os
import sys
from types import SimpleNamespace

import open_clip
import torch
from fixture_json import numbers, versions, write
from formula_values import filled
from open_clip.model import resize_pos_embed, resize_text_pos_embed
from open_clip.version import __version__ as open_clip_version
from safetensors.torch import load_file, save_file

WEIGHTS, CONFIG_FILE = "open_clip_model.safetensors", "open_clip_config.json"
WIDTH = 5


def resampled(model, kind: str, rows: int, before: torch.Tensor) -> torch.Tensor:
    """What open_clip makes of the positions `before` for a model of `rows` positions (`grid`: along one side)."""
    if kind == "grid":
        state = {"visual.positional_embedding": before}
        resize_pos_embed(state, SimpleNamespace(visual=SimpleNamespace(grid_size=(rows, rows))))
        return state["visual.positional_embedding"]
    state = {"positional_embedding": before}
    resize_text_pos_embed(state, SimpleNamespace(positional_embedding=torch.empty(rows, before.shape[1])))
    return state["positional_embedding"]


def fixture() -> dict:
    cases = []
    for kind, before, after in (("grid", 7, 4), ("grid", 4, 7), ("grid", 14, 24), ("grid", 9, 2), ("line", 77, 32), ("line", 16, 40)):
        count = before * before + 1 if kind == "grid" else before
        rows = torch.from_numpy(filled(f"positions.{kind}.{before}", (count, WIDTH)))
        values = resampled(None, kind, after, rows)
        # Of large ones the first rows, and the last: edges are where resampling goes wrong.
        shown = values if values.shape[0] <= 60 else torch.cat([values[:30], values[-30:]])
        cases.append({"kind": kind, "before": before, "after": after, "rows": list(values.shape), "values": numbers(shown)})
    return {
        "madeBy": "scripts/reference/open_clip_round_trip.py fixture",
        "versions": versions(torch=torch.__version__, open_clip=open_clip_version),
        "about": "Position embeddings positions.<kind>.<before> of formula_values.py, resampled by open_clip's resize_pos_embed (a class token first) and "
        "resize_text_pos_embed. `values`: all rows up to 60, else the first and last 30.",
        "width": WIDTH,
        "cases": cases,
    }


def build(config: dict):
    custom = config.get("custom_text", False)
    kind = open_clip.CustomTextCLIP if custom else open_clip.CLIP
    return kind(**{key: value for key, value in config.items() if key != "custom_text"})


def move_statistics(model, size: int) -> None:
    """Running statistics of a ResNet become those of some pictures: with their first values all pictures embed alike."""
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    if not norms:
        return
    for norm in norms:
        norm.momentum = 1.0
    model.visual(torch.randn(4, 3, size, size) + torch.randn(4, 3, 1, 1))


def make(directory: str, config: dict, half: bool) -> None:
    os.makedirs(directory, exist_ok=True)
    torch.manual_seed(0)
    model = build(config)
    with torch.no_grad():
        # Gains and biases begin as ones and zeros, which would hide a mistake, and residual blocks of a ResNet as nothing.
        for name, parameter in model.named_parameters():
            if name.endswith("bn3.weight"):
                parameter.fill_(1)
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
        move_statistics(model, config["vision_cfg"]["image_size"])
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    if half:
        state = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    save_file(state, os.path.join(directory, WEIGHTS))
    with open(os.path.join(directory, CONFIG_FILE), "w") as file:
        json.dump({"model_cfg": config, "preprocess_cfg": {}}, file)


def load_strictly(directory: str):
    """By the name as users do, and then once more by the file, strictly: both must work."""
    directory = os.path.abspath(directory)
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{directory}")
    result = open_clip.load_checkpoint(model, os.path.join(directory, WEIGHTS), strict=True)
    assert not result.missing_keys and not result.unexpected_keys, result
    return model.float().eval(), preprocess


def embed(directory: str, inputs: str, out: str) -> None:
    model, _ = load_strictly(directory)
    given = load_file(inputs)
    with torch.no_grad():
        image = model.encode_image(given["images"], normalize=True)
        text = model.encode_text(given["tokens"], normalize=True)
    save_file({"image": image.contiguous(), "text": text.contiguous()}, out)


def resize(directory: str, config: dict, out: str) -> None:
    model = build(config)
    open_clip.load_checkpoint(model, os.path.join(directory, WEIGHTS), strict=True)
    names = ("visual.positional_embedding", "positional_embedding")
    save_file({name: model.state_dict()[name].contiguous() for name in names}, out)


def run(command: str, *arguments: str) -> None:
    if command == "fixture":
        here = os.path.dirname(os.path.abspath(__file__))
        output = arguments[0] if arguments else os.path.join(here, "../../packages/trainer/src/interchange/fixtures")
        write(os.path.join(output, "positions-torch.json"), fixture())
    elif command == "make":
        make(arguments[0], json.loads(arguments[1]), "--half" in arguments)
    elif command == "embed":
        embed(*arguments)
    elif command == "resize":
        resize(arguments[0], json.loads(arguments[1]), arguments[2])
    else:
        sys.exit(__doc__)


def answer(values: dict) -> None:
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    used = versions(torch=torch.__version__, open_clip=open_clip_version)
    if sys.argv[1:] == ["serve"]:
        answer(used)
        for line in sys.stdin:
            try:
                run(*json.loads(line))
                answer({"ok": True})
            except Exception as error:  # told to the test, which fails with it
                answer({"error": f"{type(error).__name__}: {error}"})
    else:
        run(*(sys.argv[1:] or ["help"]))
        answer(used)
