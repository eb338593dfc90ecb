"""
Weights that PyTorch pickled (.pt, .pth, .bin, OpenAI's TorchScript archives too) as safetensors, which `clipyard import` reads.

    python pickle_to_safetensors.py FILE OUT.safetensors [--unsafe]

Reads tensors only, and refuses a file that would run anything else; --unsafe takes it all the same: only for files that
you trust. Needs torch and safetensors.
"""

import sys

import torch
from safetensors.torch import save_file


def read(path: str, unsafe: bool) -> dict:
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=not unsafe)
    except RuntimeError as error:
        # A TorchScript archive, such as OpenAI's, is a program: it is read whole or not at all.
        if "TorchScript" not in str(error):
            raise
        if not unsafe:
            sys.exit(f"{path} is a TorchScript archive, which is a program. Add --unsafe if you trust it.")
        return torch.jit.load(path, map_location="cpu").state_dict()
    if isinstance(loaded, torch.jit.ScriptModule):
        return loaded.state_dict()
    for key in ("state_dict", "model"):
        if isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    return loaded


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--unsafe"]
    if len(arguments) != 2:
        sys.exit(__doc__)
    source, target = arguments
    tensors = {
        name.removeprefix("module."): value.detach().clone().contiguous()
        for name, value in read(source, "--unsafe" in sys.argv).items()
        if isinstance(value, torch.Tensor)
    }
    save_file(tensors, target, metadata={"format": "pt", "source": source.rsplit("/", 1)[-1]})
    print(f"{target}: {len(tensors)} tensors")
