"""Step time of pretraining and its parts, images a second, share of the device's peak, memory.

    python benchmarks/pretraining.py SHARDS [--preset nano] [--batch 8] [--steps 12] [--view-dates 20 10] [--device auto] [--json OUT]

Parts are those of the loop: waiting for data, teacher, student (both forward), losses, backward, update. One row for each
kind of samples in the shards. The first two steps of each kind are left out.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import defaultdict
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from skysense.evaluate.table import print_table
from skysense.jobs.encoders import choose_device
from skysense.jobs.precision import LEAST_GAIN, probe
from skysense.training.distributed import Ranks
from skysense.training.pretrain import Moment, Pretraining
from skysense.training.pretraining.settings import PretrainSettings
from skysense.training.shards import ShardSet
from skysense.training.views import ViewSettings

PARTS = ("teacher", "student", "losses", "backward", "update")
WARM_UP = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", type=Path)
    parser.add_argument("--preset", default="nano")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=12, help="of each kind of samples, at least")
    parser.add_argument("--view-dates", type=int, nargs=2, default=(20, 10), metavar=("S2", "S1"), help="of a series")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    device = choose_device(options.device)
    rates = probe(device)
    precision = "bf16" if rates.gain >= LEAST_GAIN else "fp32"
    samples = ShardSet([options.shards])
    settings = PretrainSettings(
        preset=options.preset,
        batch=options.batch,
        precision=precision,
        steps=10_000,
        log_every=10_000,
        compiled=device.type == "cuda",
        views=ViewSettings(s2_dates=options.view_dates[0], s1_dates=options.view_dates[1]),
    )
    found = measure(Pretraining(samples, settings, device, Ranks()), samples, options.steps)
    peak = rates.bf16 if precision == "bf16" else rates.fp32
    rows = [row(sensors, moments, parts, settings, peak) for sensors, (moments, parts) in sorted(found.items())]
    print(f"{device}, {precision}, products at {peak / 1e9:.1f} GFLOP/s, {torch.get_num_threads()} threads")
    print_table(rows)
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


def measure(run: Pretraining, samples: ShardSet, least: int) -> dict[str, tuple[list[Moment], list[dict[str, float]]]]:
    """Steps of every kind until each has `least`: their moments, and the seconds of their parts."""
    kinds = {"+".join(samples.kind(index)[0]) for index in range(len(samples))}
    found: dict[str, tuple[list[Moment], list[dict[str, float]]]] = defaultdict(lambda: ([], []))
    steps = run.steps()
    while min(len(found[kind][0]) for kind in kinds) < least + WARM_UP:
        activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if run.device.type == "cuda" else [])
        with profile(activities=activities, acc_events=True) as profiler:
            moment = next(steps)
        events = {event.key: event for event in profiler.key_averages() if event.key in PARTS}
        moments, parts = found["+".join(samples.kind(moment.samples[0])[0])]
        moments.append(moment)
        parts.append({name: events[name].cpu_time_total / 1e6 for name in PARTS})
    return {kind: (moments[WARM_UP:], parts[WARM_UP:]) for kind, (moments, parts) in found.items()}


def row(
    kind: str, moments: list[Moment], parts: list[dict[str, float]], settings: PretrainSettings, peak: float
) -> dict[str, object]:
    seconds = statistics.median(moment.seconds for moment in moments)
    memory = torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else None
    return {
        "preset": settings.preset,
        "sensors": kind,
        "batch": settings.batch,
        "step_s": round(seconds, 3),
        "samples_per_s": round(settings.batch / seconds, 2),
        "data_wait_share": round(statistics.median(moment.waited / moment.seconds for moment in moments), 4),
        **{f"{name}_s": round(statistics.median(part[name] for part in parts), 3) for name in PARTS},
        "peak_share": round(statistics.median(moment.flops / moment.seconds for moment in moments) / peak, 3),
        "memory_gb": None if memory is None else round(memory, 2),
    }


if __name__ == "__main__":
    main()
