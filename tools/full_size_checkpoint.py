"""Write a checkpoint of random values with the names and shapes of a release: for measuring, never committed.

The key list is a JSON file, plain or gzipped: name -> [shape, type].
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
from pathlib import Path

import torch

PATTERN = 1 << 20  # random values, repeated: a release's worth of random numbers takes minutes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("keys", type=Path, help="list of names, shapes and types")
    parser.add_argument("output", type=Path, help=".pth to write")
    options = parser.parse_args()
    opened = gzip.open if options.keys.suffix == ".gz" else open
    with opened(options.keys, "rt", encoding="utf-8") as file:
        keys = json.load(file)
    pattern = 0.02 * torch.randn(PATTERN, generator=torch.Generator().manual_seed(0))
    state = {name: values(pattern, shape, dtype) for name, (shape, dtype) in keys.items()}
    torch.save({"model": state}, options.output)
    print(f"{len(state)} tensors, {options.output.stat().st_size / 1e9:.2f} GB")


def values(pattern: torch.Tensor, shape: list[int], dtype: str) -> torch.Tensor:
    if dtype == "int64":
        return torch.zeros(shape, dtype=torch.int64)
    count = math.prod(shape)
    return pattern.repeat(-(-count // PATTERN))[:count].reshape(shape).clone()


if __name__ == "__main__":
    main()
