"""Values that another language repeats bit for bit: value i of the tensor named n is offset + scale * u(n, i)."""

import numpy as np


def fnv1a(name: str) -> int:
    """32-bit FNV-1a of the name in UTF-8."""
    value = 0x811C9DC5
    for byte in name.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def mixed(name: str, count: int) -> np.ndarray:
    """`count` 32-bit words: MurmurHash3's finaliser of FNV-1a(name) + i * 0x9E3779B9 (mod 2^32)."""
    h = (np.arange(count, dtype=np.uint64) * 0x9E3779B9 + fnv1a(name)) & 0xFFFFFFFF
    h ^= h >> np.uint64(16)
    h = (h * 0x85EBCA6B) & 0xFFFFFFFF
    h ^= h >> np.uint64(13)
    h = (h * 0xC2B2AE35) & 0xFFFFFFFF
    h ^= h >> np.uint64(16)
    return h


def unit(name: str, count: int) -> np.ndarray:
    """float64 in [-1, 1): the upper 24 bits of the words, so exact in float32 too."""
    return (mixed(name, count) >> np.uint64(8)).astype(np.float64) / 2**23 - 1


def filled(name: str, shape: tuple, scale: float = 1.0, offset: float = 0.0) -> np.ndarray:
    """float32, computed in float64."""
    count = int(np.prod(shape, dtype=np.int64))
    return (offset + scale * unit(name, count)).astype(np.float32).reshape(shape)
