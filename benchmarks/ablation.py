"""SkySense's ablation, repeated small: what do more sensors, alignment and prototypes each bring?

    python benchmarks/ablation.py --sentinel2 SHARDS --both SHARDS --judge FOLDER --out FOLDER [--seeds 0 1 2] [--steps 50] \\
        [--start WEIGHTS --keep 5]

Four arms of nano, each with the same steps from random weights or those of `--start`: Sentinel-2 alone; with Sentinel-1; with
L_align; with prototypes (arXiv 2312.10115, its ablation: 45.6, 47.0, 47.7, 48.2 mIoU). Each is judged by `skysense evaluate
series` on a folder that none of them learnt from. A run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path

from skysense.evaluate import series
from skysense.jobs import pretrain
from skysense.jobs.report import SilentReport
from skysense.training.pretraining.run_folder import RunFolder
from skysense.training.pretraining.settings import PretrainSettings, momentum_for
from skysense.training.views import ViewSettings

ARMS = ("single sensor", "+ second sensor", "+ alignment", "+ prototypes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentinel2", type=Path, required=True, help="shards with Sentinel-2 alone")
    parser.add_argument("--both", type=Path, required=True, help="shards of the same places with Sentinel-1 too")
    parser.add_argument("--judge", type=Path, nargs="+", required=True, help="labelled series, see `evaluate series`")
    parser.add_argument("--out", type=Path, required=True, help="runs, and ablation.json")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--start", type=Path, help="weights (default: random ones)")
    parser.add_argument("--keep", type=float, default=0.0, help="stay near the features of --start")
    options = parser.parse_args()
    rows = [one(arm, seed, options) for seed in options.seeds for arm in range(len(ARMS))]
    options.out.joinpath("ablation.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    for arm, name in enumerate(ARMS):
        print(name, *summary([row for row in rows if row["arm"] == arm]), sep="  ")


def one(arm: int, seed: int, options: argparse.Namespace) -> dict[str, object]:
    """Train one arm with one seed, or take what was trained, and judge it."""
    folder = options.out / f"arm {arm}, seed {seed}"
    place = RunFolder(folder)
    new = None
    if not place.begun:
        shards = options.sentinel2 if arm == 0 else options.both
        new = pretrain.NewRun((shards.resolve(),), settings(arm, seed, options))
    if not place.weights.is_file():
        pretrain.run(folder, "cpu", SilentReport(), new)
    logged = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    last = logged[-5:]
    entropies = [line["prototype_entropy"] for line in last if line["prototype_entropy"] is not None]
    row: dict[str, object] = {
        "arm": arm,
        "seed": seed,
        "fused_loss": statistics.mean(line["parts"]["fused"] for line in last),
        "prototype_entropy": statistics.mean(entropies) if entropies else None,
    }
    for judge in options.judge:
        (judged,) = series.run([judge], weights=place.weights)
        row[judge.name] = judged["macro_f1"]
    print(json.dumps(row), flush=True)
    return row


def settings(arm: int, seed: int, options: argparse.Namespace) -> PretrainSettings:
    common = PretrainSettings(
        start=None if options.start is None else str(options.start.resolve()),
        keep=options.keep,
        steps=options.steps,
        seed=seed,
        teacher_momentum=momentum_for(options.steps),
        prototype_momentum=0.99,
        workers=0,
        save_every=50,
        views=ViewSettings(local_views=1, s2_dates=6, s1_dates=4),
    )
    return replace(common, beta=0.1 if arm >= 2 else 0.0, prototypes=arm >= 3)


def summary(rows: list[dict[str, object]]) -> list[str]:
    """Mean and deviation over seeds of each figure."""
    said = []
    for name in rows[0]:
        values = [float(str(row[name])) for row in rows if row[name] is not None]
        if name not in ("arm", "seed") and values:
            said.append(f"{name} {statistics.mean(values):.3f} ± {statistics.pstdev(values):.3f}")
    return said


if __name__ == "__main__":
    main()
