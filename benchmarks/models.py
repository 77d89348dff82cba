"""How fast are the encoders, what do they need, and how much of the machine do they use?

One row a preset and kind of input, each measurement in a process of its own, in fp32 and in the mode that the jobs
would choose (`skysense.jobs.precision`):

    hr      one picture of 512 x 512 pixels
    s2, s1  five dates of 32 x 32 pixels
    fused   one picture of 512 x 512 pixels, ten dates of Sentinel-2 and five of Sentinel-1, 16 x 16 pixels, on its ground

    .venv/bin/python benchmarks/models.py [--json OUT] [--presets nano,tiny,base] [--full] [--hr-512] [--threads 1]

--full adds the preset huge (2 billion parameters); --hr-512 adds its HR encoder alone on the CPU and, where there is a
GPU, the whole of it with 20 dates of Sentinel-2 and 10 of Sentinel-1; --compile adds torch.compile of every transformer
block on top of the jobs' mode, and how long the first batch then takes.

The bundled preset has its weights, the others random ones. Seconds are medians; where the jobs use fp32, one
measurement fills both halves of the row. Memory is what the forward pass takes beside the weights. FLOPs count a
multiplication and an addition as two; PyTorch's counter does not know the attention kernel of the CPU, so that they are
counted with the plain one. The peak is the fastest large matrix product of the same type in the run.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from skysense.jobs.example_batch import example_batch
from skysense.jobs.precision import use_default_mode
from skysense.jobs.speed import seconds_of
from skysense.models.catalog import ENCODERS, load_encoder
from skysense.models.interface import Encoder, EncoderInfo, FeatureMap, SceneBatch
from skysense.models.layers import TransformerBlock
from skysense.models.skysense.presets import PRESETS
from skysense.models.skysense.swin_v2 import SwinBlock, SwinV2, SwinV2Config

INPUTS = {  # sensors, side of the first in pixels, dates of s2 and s1
    "hr": (("hr",), 512, 0, 0),
    "s2": (("s2",), 32, 5, 0),
    "s1": (("s1",), 32, 0, 5),
    "fused": (("hr", "s2", "s1"), 512, 10, 5),
    "20+10": (("hr", "s2", "s1"), 512, 20, 10),
}
HR_ALONE = "huge HR alone"
WARM_UP_PX = 256
LEAST_RUNS, MOST_RUNS, ENOUGH_S = 3, 9, 10.0
PEAK_SIDE = {"cpu": 3072, "cuda": 8192}
STATUS, PEAK_RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Row:
    """One measurement."""

    device: str
    preset: str
    input: str
    mode: str  # and why
    threads: int
    runs: int
    parameters: int
    seconds: float
    flops: int  # of one forward pass
    peak_flops: float  # a second
    weights_mb: float
    memory_mb: float
    first_s: float  # of the first forward pass: kernels are chosen, blocks compiled


class HrAlone(Encoder):
    """An HR encoder as it stands, without what SkySense puts around it."""

    def __init__(self, config: SwinV2Config, info: EncoderInfo) -> None:
        super().__init__()
        self.hr_encoder = SwinV2(config)
        parameters = sum(parameter.numel() for parameter in self.parameters())
        self.info = replace(info, label="SkySense huge, HR alone", sensors=("hr",), parameters=parameters)

    def forward(self, batch: SceneBatch) -> dict[str, FeatureMap]:
        maps = self.hr_encoder(batch.reference[:, : self.hr_encoder.config.channels])
        return {f"level {i}": FeatureMap(values, 4 * 2**i, self.info.key, "") for i, values in enumerate(maps)}

    def last_blocks(self) -> list[nn.Module]:
        return []


def build(preset: str, device: torch.device) -> Encoder:
    torch.manual_seed(0)
    if preset == HR_ALONE:
        with torch.device("meta"):
            huge = PRESETS["huge"]()
        encoder: Encoder = HrAlone(huge.config.hr, huge.info)
    elif f"skysense-{preset}" in ENCODERS:
        encoder = load_encoder(f"skysense-{preset}")
    else:
        encoder = PRESETS[preset]()
    return encoder.eval().to(device)


def measure(preset: str, kind: str, device: torch.device, mode: str) -> Row:
    """`mode`: "fp32", "default" for what the jobs would choose, "compiled" for that with compiled blocks."""
    sensors, side, s2_dates, s1_dates = INPUTS[kind]
    encoder = build(preset, device)
    said = "fp32" if mode == "fp32" else str(use_default_mode(encoder, device))
    batch = example_batch(sensors, side, device, s2_dates=s2_dates, s1_dates=s1_dates)
    with torch.inference_mode():
        encoder(example_batch(encoder.info.sensors, WARM_UP_PX, device))  # libraries start with their first use
        if mode == "compiled":
            compile_blocks(encoder)
        before = start_memory(device)
        first = seconds_of(lambda: encoder(batch), device)
        memory = most_memory(device) - before
        seconds = times(encoder, batch, device)
        flops = 0 if mode == "compiled" else flops_of(encoder, batch)
        peak = peak_flops(device, torch.bfloat16 if said.startswith("bf16") else torch.float32)
    weights = sum(tensor.numel() * tensor.element_size() for tensor in (*encoder.parameters(), *encoder.buffers()))
    median = statistics.median(seconds)
    return Row(device=device.type, preset=preset, input=kind, mode=said, threads=torch.get_num_threads(),
               runs=len(seconds), parameters=encoder.info.parameters, seconds=median, flops=flops, peak_flops=peak,
               weights_mb=weights / 2**20, memory_mb=memory / 2**20,
               first_s=first)  # fmt: skip


def compile_blocks(encoder: Encoder) -> None:
    torch._dynamo.config.recompile_limit = 64  # kinds of block and map for which code is kept
    for module in encoder.modules():
        if isinstance(module, TransformerBlock | SwinBlock):
            module.compile()


def times(encoder: Encoder, batch: SceneBatch, device: torch.device) -> list[float]:
    """Seconds of several forward passes; fewer of a slow one."""
    seconds: list[float] = []
    began = time.perf_counter()
    while len(seconds) < LEAST_RUNS or (len(seconds) < MOST_RUNS and time.perf_counter() - began < ENOUGH_S):
        seconds.append(seconds_of(lambda: encoder(batch), device))
    return seconds


def flops_of(encoder: Encoder, batch: SceneBatch) -> int:
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        encoder(batch)
    return int(counter.get_total_flops())


def attention_is_counted(device: torch.device) -> bool:
    """Whether PyTorch's counter sees the attention kernel that it would choose itself."""
    tokens = torch.ones(1, 1, 64, 64, device=device)
    with FlopCounterMode(display=False) as counter:
        F.scaled_dot_product_attention(tokens, tokens, tokens)
    return bool(counter.get_total_flops())


def peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    side = PEAK_SIDE[device.type]
    matrix = torch.ones(side, side, dtype=dtype, device=device)
    return 2.0 * side**3 / min(seconds_of(lambda: matrix @ matrix, device) for _ in range(6))


def start_memory(device: torch.device) -> int:
    """Bytes in use now; `most_memory` counts from here."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    ctypes.CDLL(None).malloc_trim(0)  # what earlier batches left behind
    PEAK_RESET.write_text("5")
    return resident("VmRSS")


def most_memory(device: torch.device) -> int:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else resident("VmHWM")


def resident(name: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


# -- all rows --------------------------------------------------------------------------------------------------------
def in_a_process_of_its_own(preset: str, kind: str, device: str, mode: str, threads: int) -> Row:
    command = [sys.executable, __file__, "--threads", str(threads), "--child", preset, kind, device, mode]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return Row(**json.loads(answer.splitlines()[-1]))


def wanted(presets: list[str], devices: list[str], hr_512: bool) -> list[tuple[str, str, str]]:
    """Device, preset and input of each pair of measurements."""
    rows = [(device, preset, kind) for device in devices for preset in presets for kind in ("hr", "s2", "s1", "fused")]
    if hr_512:
        rows.append(("cpu", HR_ALONE, "hr"))
        rows += [("cuda", "huge", "20+10")] if "cuda" in devices else []
    return rows


def peaks_of(rows: list[Row]) -> dict[tuple[str, str], float]:
    """FLOP/s of the fastest product of the whole run, by device and type."""
    peaks: dict[tuple[str, str], float] = {}
    for row in rows:
        peaks[row.device, row.mode[:4]] = max(peaks.get((row.device, row.mode[:4]), 0.0), row.peak_flops)
    return peaks


def line(plain: Row, chosen: Row, peaks: dict[tuple[str, str], float]) -> str:
    """A row of the table."""
    cells = [plain.device, plain.preset, plain.input, f"{plain.parameters / 1e6:.1f}", f"{plain.flops / 1e9:.1f}"]
    for row in (plain, chosen):
        share = row.flops / row.seconds / peaks[row.device, row.mode[:4]]
        cells += [f"{row.seconds:.3f}", f"{100 * share:.0f} %", f"{row.memory_mb:.0f}"]
    cells.insert(8, chosen.mode[:4])
    return f"| {' | '.join(cells)} |"


HEADER = """\
| device | preset | input | M parameters | GFLOP | fp32: s | of peak | MiB | jobs use | s | of peak | MiB |
|---|---|---|---|---|---|---|---|---|---|---|---|"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--presets", default="nano,tiny,base")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--hr-512", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.child:
        preset, kind, device, mode = options.child
        print(json.dumps(asdict(measure(preset, kind, torch.device(device), mode))))
        return 0
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    presets = [preset for preset in options.presets.split(",") if preset] + (["huge"] if options.full else [])
    print(f"{options.threads} of {os.cpu_count()} CPU cores; PyTorch {torch.__version__}; the counter sees attention:",
          ", ".join(f"{device} {'yes' if attention_is_counted(torch.device(device)) else 'no'}" for device in devices))  # fmt: skip
    rows: list[Row] = []
    pairs: list[tuple[Row, Row]] = []
    for device, preset, kind in wanted(presets, devices, options.hr_512):
        chosen = in_a_process_of_its_own(preset, kind, device, "default", options.threads)
        plain = chosen  # where the jobs use fp32 there is one thing to measure
        if not chosen.mode.startswith("fp32"):
            plain = in_a_process_of_its_own(preset, kind, device, "fp32", options.threads)
            rows.append(plain)
        rows.append(chosen)
        pairs.append((plain, chosen))
        print(f"  {device} {preset} {kind}: {plain.seconds:.3f} s, in the jobs' mode {chosen.seconds:.3f} s", flush=True)
        if options.compile:
            row = in_a_process_of_its_own(preset, kind, device, "compiled", options.threads)
            rows.append(row)
            print(f"  compiled: {row.seconds:.3f} s, the first time {row.first_s:.1f} s", flush=True)
    peaks = peaks_of(rows)
    print("\n".join([HEADER, *(line(plain, chosen, peaks) for plain, chosen in pairs)]))
    for device, preset in dict.fromkeys((row.device, row.preset) for row in rows):
        reasons = {row.mode for row in rows if (row.device, row.preset) == (device, preset)} - {"fp32"}
        print(f"{device} {preset}: {'; '.join(sorted(reasons))}")
    print("; ".join(f"{device} {kind} peak {flops / 1e9:.0f} GFLOP/s" for (device, kind), flops in peaks.items()))
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
