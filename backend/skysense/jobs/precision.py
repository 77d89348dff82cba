"""The arithmetic in which an encoder runs fastest on a device without changing what it says.

fp32 unless three things hold: a short probe finds the device's bf16 products much faster, no cell of any level turns
away from its fp32 features, and nothing fails on the way. bf16 is autocast: weights, norms, residual sums and outputs
stay fp32. Attention is `scaled_dot_product_attention` throughout, for which PyTorch picks its fused kernels.

Blocks are not compiled: that takes a minute at the first batch of each process, to be won back only by very long jobs
(`benchmarks/models.py --compile` measures both).

Measured, never read off the processor's name: CPUs with AMX or AVX512-BF16 multiply bf16 several times faster than
fp32, others several hundred times slower.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor

from skysense.jobs.example_batch import example_batch
from skysense.jobs.speed import seconds_of
from skysense.models.interface import Encoder, FeatureMap, SceneBatch

log = logging.getLogger(__name__)

PROBE_S = 0.4  # of each type: both together stay far below two seconds
PROBE_SIDES = (128, 256, 512, 1024, 2048, 4096)  # of square matrices
PRODUCTS = 3  # of each side, the fastest counts
LEAST_GAIN = 1.5  # of the products; an encoder, which does other things too, gains less
LEAST_COSINE = 0.999  # of each cell of each level
GATE_PX = 256  # a side of the first sensor: at most 0.2 s for the bundled encoder


@dataclass(frozen=True)
class Rates:
    """Matrix products of a device, FLOP/s; 0 where it cannot do them."""

    fp32: float
    bf16: float

    @property
    def gain(self) -> float:
        """How many times faster bf16 is."""
        return self.bf16 / self.fp32 if self.fp32 else 0.0

    def __str__(self) -> str:
        """For diagnostics."""
        return f"fp32 {self.fp32 / 1e9:.1f}, bf16 {self.bf16 / 1e9:.1f} GFLOP/s"


@dataclass(frozen=True)
class Mode:
    """How an encoder runs."""

    precision: str  # "fp32" or "bf16"
    reason: str

    def __str__(self) -> str:
        """For logs, cards and diagnostics."""
        return f"{self.precision}: {self.reason}"


_modes: WeakKeyDictionary[Encoder, Mode] = WeakKeyDictionary()


def use_default_mode(encoder: Encoder, device: torch.device) -> Mode:
    """Put an encoder, in evaluation mode on the device, into its fastest mode that keeps its features."""
    rates = probe(device)
    mode = _choose(encoder, device, rates)
    _modes[encoder] = mode
    log.info("%s on %s runs in %s", encoder.info.label, device, mode)
    return mode


def mode_of(encoder: Encoder) -> Mode:
    """What `use_default_mode` chose; encoders that it never saw run in fp32."""
    return _modes.get(encoder, Mode("fp32", "as loaded"))


@functools.cache  # once a process: about half a second
def probe(device: torch.device) -> Rates:
    """Measure the device's matrix products, at most PROBE_S each: the slow type ends after its smallest sides."""
    return Rates(_rate(device, torch.float32), _rate(device, torch.bfloat16))


def agreement(truth: Mapping[str, FeatureMap], other: Mapping[str, FeatureMap]) -> dict[str, float]:
    """The lowest cosine of any cell with its counterpart, of each level; two zero vectors agree, NaN stays NaN."""
    return {name: _lowest_cosine(truth[name].values.float(), other[name].values.float()) for name in truth}


def _choose(encoder: Encoder, device: torch.device, rates: Rates) -> Mode:
    if rates.gain < LEAST_GAIN:
        return Mode("fp32", f"bf16 products are {rates.gain:.2g} times as fast on this device")
    batch = example_batch(encoder.info.sensors, GATE_PX, device)
    with torch.inference_mode():
        truth = encoder(batch)  # first: an encoder may keep tables of its first run, and these shall be exact
        try:
            with torch.autocast(device.type, torch.bfloat16):
                cosines = agreement(truth, encoder(batch))
        except RuntimeError as error:
            return Mode("fp32", f"bf16 does not work: {str(error).splitlines()[0]}")
    level = min(cosines, key=lambda name: cosines[name] if cosines[name] == cosines[name] else -1.0)
    if not cosines[level] >= LEAST_COSINE:
        return Mode("fp32", f"bf16 changes {level}, cosine {cosines[level]:.4f} in one cell")
    _cast(encoder, device)
    return Mode("bf16", f"products {rates.gain:.1f} times as fast, lowest cosine {cosines[level]:.4f}")


def _cast(encoder: Encoder, device: torch.device) -> None:
    """Let the encoder run in bf16 whoever calls it. Its outputs are fp32 as ever."""
    plain = encoder.forward

    def forward(batch: SceneBatch) -> dict[str, FeatureMap]:
        with torch.autocast(device.type, torch.bfloat16):
            maps = plain(batch)
        return {name: replace(level, values=level.values.float()) for name, level in maps.items()}

    encoder.forward = forward  # type: ignore[method-assign]


def _rate(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of the fastest product that was tried."""
    began, best = time.perf_counter(), 0.0
    try:
        for side in PROBE_SIDES:
            matrix = torch.ones(side, side, dtype=dtype, device=device)
            if not best:
                matrix @ matrix  # libraries start with the first product
            seconds = min(seconds_of(functools.partial(torch.mm, matrix, matrix), device) for _ in range(PRODUCTS))
            best = max(best, 2.0 * side**3 / seconds)
            if time.perf_counter() - began + 8 * PRODUCTS * seconds > PROBE_S:
                break
    except RuntimeError as error:
        log.info("no products of %s on %s: %s", dtype, device, error)
        return 0.0
    return best


def _lowest_cosine(truth: Tensor, other: Tensor) -> float:
    """Of the vectors (B, D, h, w) along D."""
    both_zero = (truth == 0).all(dim=1) & (other == 0).all(dim=1)
    return float(torch.where(both_zero, 1.0, F.cosine_similarity(truth, other, dim=1)).min())
