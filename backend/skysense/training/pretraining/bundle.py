"""A finished pretraining run of nano becomes the weights that the plugin bundles.

    python -m skysense.training.pretraining.bundle RUN OUT

OUT holds the run's teacher in float16. Its card is that of the weights which the run started from, with the run's settings
and samples added: so it tells the whole recipe, `distill` first, then one run after the other.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from skysense.errors import RequestError
from skysense.models.skysense.presets import PRESETS
from skysense.models.weights import load_weights, read_card, save_weights, weights_digest
from skysense.training.pretraining.run_folder import RunFolder
from skysense.training.shards import read_manifest


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of the run")
    parser.add_argument("out", type=Path, metavar="OUT", help=".safetensors")
    given = parser.parse_args(arguments)
    print(bundle(given.run, given.out))


def bundle(run: Path, out: Path) -> str:
    """Write the weights with their card and return their digest.

    Raises:
        RequestError: the run is not finished, or started from weights without a recipe.
        ModelError: its weights are damaged.
    """
    place = RunFolder(run)
    settings, shards, digest = place.read()
    if not place.finished:
        raise RequestError(f"The run in {run.name} has not finished.", f"Go on with `skysense pretrain {run}`.")
    if settings.start is None:
        raise RequestError(f"The run in {run.name} started from random weights.", "Start one from distilled weights.")
    start = Path(settings.start)
    plain = asdict(settings)
    del plain["start"]  # a path on one computer
    before = read_card(start)
    earlier = before.get("pretraining")
    told = {
        "start": weights_digest(start),
        "settings": plain,
        "samples": digest,
        "cut_with": [_cut_with(folder) for folder in shards],
    }
    card = {
        **before,
        "what": "SkySense pretraining on little imagery, from a distillation of open models; no official SkySense weights",
        "pretraining": [*(earlier if isinstance(earlier, list) else []), told],
    }
    model = PRESETS[settings.preset]()
    load_weights(model, place.weights)
    return save_weights(model.eval(), out, card, torch.float16)


def _cut_with(folder: Path) -> dict[str, object]:
    manifest = read_manifest(folder)
    return {"samples": manifest["samples"], "sources": manifest["sources"], "hold_out": manifest["settings"]["hold_out"]}


if __name__ == "__main__":
    main()
