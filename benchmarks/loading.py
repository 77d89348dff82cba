"""Memory and time of adding and loading a checkpoint of full size.

A checkpoint of random values is made from a list of names, shapes and types (JSON, plain or gzipped: name -> [shape,
type]), converted as `skysense convert` does, and loaded as every job does, each in a process of its own. Reported is the
peak of the process's own memory (RssAnon: pages of mapped files do not count) above what it has after `import torch`.

    .venv/bin/python benchmarks/loading.py KEYS.json.gz [--folder WITH_30_GB] [--json OUT]
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch

PATTERN = 1 << 20  # random values, repeated: random numbers of their own for a whole release would take minutes
LIMIT = 1.15  # times the bytes of the loaded precision, and the largest tensor on top


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("keys", type=Path, help="names, shapes and types of the release")
    parser.add_argument("--folder", type=Path, help="where about three times the checkpoint fits (default: temporary)")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--step", choices=("make", "convert", "load"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        print(json.dumps(measured(options.step, options.keys, options.folder)))
        return 0
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        rows = [in_own_process(step, options.keys, Path(folder)) for step in ("make", "convert", "load")][1:]
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0 if rows[-1]["peak_gb"] <= rows[-1]["limit_gb"] else 1


def in_own_process(step: str, keys: Path, folder: Path) -> dict[str, float]:
    command = [sys.executable, __file__, str(keys), "--folder", str(folder), "--step", step]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def measured(step: str, keys: Path, folder: Path) -> dict[str, object]:
    source, converted = folder / "release.pth", folder / "converted.safetensors"
    if step == "make":
        make(keys, source)
        return {"step": step, "gb": round(source.stat().st_size / 1e9, 2)}
    before, peak = anonymous(), Peak()
    started = time.monotonic()
    if step == "convert":
        from skysense.models.added import write_added
        from skysense.models.skysense.released import read_released

        write_added(read_released([source]), [source], converted)
        held = {}
    else:
        from skysense.models.added import load_added

        model, _ = load_added(converted)
        sizes = [parameter.numel() * parameter.itemsize for parameter in model.parameters()]
        held = {"model_gb": round(sum(sizes) / 1e9, 3), "limit_gb": round((LIMIT * sum(sizes) + max(sizes)) / 1e9, 3)}
    seconds = time.monotonic() - started
    return {"step": step, "seconds": round(seconds, 1), "peak_gb": round((peak.stop() - before) / 1e9, 3), **held}


def make(keys: Path, output: Path) -> None:
    opened = gzip.open if keys.suffix == ".gz" else open
    with opened(keys, "rt", encoding="utf-8") as file:
        listed = json.load(file)
    pattern = 0.02 * torch.randn(PATTERN, generator=torch.Generator().manual_seed(0))
    torch.save({"model": {name: values(pattern, *entry) for name, entry in listed.items()}}, output)


def values(pattern: torch.Tensor, shape: list[int], dtype: str) -> torch.Tensor:
    if dtype == "int64":
        return torch.zeros(shape, dtype=torch.int64)
    count = math.prod(shape)
    return pattern.repeat(-(-count // PATTERN))[:count].reshape(shape).clone()


def anonymous() -> int:
    """Bytes of the process's memory that no file stands behind."""
    with Path("/proc/self/status").open(encoding="utf-8") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("RssAnon"))


class Peak:
    """The largest `anonymous()` since it was made."""

    def __init__(self) -> None:
        self._value, self._stop = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(0.005):
            self._value = max(self._value, anonymous())

    def stop(self) -> int:
        self._stop.set()
        self._thread.join()
        return self._value


if __name__ == "__main__":
    raise SystemExit(main())
