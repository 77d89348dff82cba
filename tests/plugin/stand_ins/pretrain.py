#!/usr/bin/env python3
"""Obeys the contract of a run folder and learns nothing, 20 ms a step; --seed chooses how a run goes. Written by hand: it
does not know our code. Whatever else the engine is asked for, the real one does."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

FINE, REFUSED, FAILS, DIES, STUMBLES = range(5)
ENGINE = Path(__file__).resolve().parents[3] / ".venv/bin/python"

if "pretrain" not in sys.argv:
    os.execv(ENGINE, [str(ENGINE), *sys.argv[1:]])
words = sys.argv[sys.argv.index("pretrain") + 1 :]
run = Path(words[0])
print(json.dumps({"words": words, "environment": sorted(os.environ)}), flush=True)


def value(name: str, default: str) -> str:
    return words[words.index(name) + 1] if name in words else default


def replace(name: str, content: dict) -> None:
    (run / f"{name}.part").write_text(json.dumps(content))
    (run / f"{name}.part").replace(run / name)


def tell(state: str, **more: object) -> None:
    replace("status.json", {"state": state, "pid": os.getpid(), "sentence": "", "remedy": "", "updated": time.time(), **more})


if "--shards" in words:
    if value("--seed", "0") == str(REFUSED):
        print("There are no shards there.\nMake some first.", file=sys.stderr)
        raise SystemExit(2)
    if value("--seed", "0") == str(STUMBLES):
        raise RuntimeError("a fault of its own")
    settings = {name: int(value(f"--{name}", "0")) for name in ("steps", "batch", "seed")}
    settings |= {"preset": value("--preset", "nano"), "start": value("--start", "") or None}
    replace("settings.json", {"settings": settings, "shards": [words[words.index("--shards") + 1]]})
settings = json.loads((run / "settings.json").read_text())["settings"]
steps, seed = settings["steps"], settings["seed"]
tell("starting", device="cpu")
(run / "stop").unlink(missing_ok=True)
saved = run / "checkpoint"
step = int(saved.read_text()) if saved.exists() else 0
state = "finished"
while step < steps:
    time.sleep(0.02)
    step += 1
    line = {
        "step": step, "loss": 5 / step, "parts": {"hr": 3 / step, "fused": 2 / step}, "samples_per_second": 40.0, "data_wait": 0.25,
        "flops_share": 0.5, "feature_std": {"hr": 0.8, "fused": 0.9}, "prototype_entropy": 0.7,
    }  # fmt: skip
    with (run / "log.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")
    tell("training", step=step, steps=steps, seconds_left=0.02 * (steps - step), device="cpu")
    if step == 5 and seed == FAILS:
        tell("failed", sentence="The loss was no number any more at step 5.", remedy="Start again with a lower learning rate.")
        raise SystemExit(2)
    if step == 5 and seed == DIES:
        saved.write_text("3")
        os._exit(9)
    if (run / "stop").exists():
        state = "stopped"
        break
tell("saving", step=step, steps=steps, device="cpu")
saved.write_text(str(step))
(run / "weights.safetensors").write_bytes((ENGINE.parents[2] / "tests/data/models/random_hr.safetensors").read_bytes())
tell(state, step=step, steps=steps, device="cpu")
raise SystemExit(0 if state == "finished" else 130)
