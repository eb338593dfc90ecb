"""How fixtures are written: float32 as the shortest text that reads back the same, one line a key."""

import json
import os
import platform
import sys

import numpy as np


def numbers(array) -> list:
    return [float(str(np.float32(x))) for x in np.asarray(array).reshape(-1)]


def versions(**more: str) -> dict:
    return {"python": platform.python_version(), "numpy": np.__version__, **more}


def write(path: str, fixture: dict) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write("{\n")
        file.write(",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in fixture.items()))
        file.write("\n}\n")
    print(f"{path}: {os.path.getsize(path)} bytes", file=sys.stderr)
