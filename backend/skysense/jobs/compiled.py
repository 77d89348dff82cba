"""Blocks of an encoder as compiled code, where that is faster by enough to be worth its wait."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable

import torch
from torch import nn

from skysense.jobs.example_batch import example_batch
from skysense.jobs.speed import seconds_of
from skysense.models.interface import Encoder
from skysense.models.layers import TransformerBlock
from skysense.models.skysense.swin_v2 import SwinBlock

log = logging.getLogger(__name__)

LEAST_PARAMETERS = 50_000_000  # a smaller encoder ends most jobs before its compiler would have
LEAST_GAIN = 1.1
TILE_PX = 1024
RUNS = 3
SHAPES = 64  # kinds of block and map for which code is kept


def compile_where_it_pays(encoder: Encoder, device: torch.device, same: Callable[[], bool]) -> bool:
    """Compile the blocks of a large encoder, time a tile with and without, keep the faster. Says which.

    Args:
        encoder: in evaluation mode on the device.
        device: where it runs.
        same: whether the encoder still gives the features that it should.
    """
    if encoder.info.parameters < LEAST_PARAMETERS:
        return False
    batch = example_batch(encoder.info.sensors, TILE_PX, device)
    try:
        with torch.inference_mode():
            plain = _fastest(lambda: encoder(batch), device)
            compile_blocks(encoder)
            compiled = _fastest(lambda: encoder(batch), device)
            log.info("a tile takes %.3f s, compiled %.3f s", plain, compiled)
            if plain / compiled >= LEAST_GAIN and same():
                return True
    except RuntimeError as error:  # no compiler, no Triton, no memory for the trial
        log.info("blocks cannot be compiled: %s", error)
    as_they_were(encoder)
    return False


def compile_blocks(encoder: nn.Module, backend: str = "inductor") -> int:
    """Let every transformer block run as compiled code; returns how many there are.

    The code is made from a twin of the block that shares its weights and is no part of the encoder: hooks that a job
    puts on the encoder's layers stay outside of the compiled code and are called before each block.
    """
    torch._dynamo.config.recompile_limit = max(SHAPES, torch._dynamo.config.recompile_limit)
    blocks = _blocks(encoder)
    for block in blocks:
        shared = {id(tensor): tensor for tensor in (*block.parameters(), *block.buffers())}
        twin = copy.deepcopy(block, shared)
        block.forward = torch.compile(twin.forward, backend=backend)
    return len(blocks)


def as_they_were(encoder: nn.Module) -> None:
    """Undo `compile_blocks`."""
    for block in _blocks(encoder):
        block.__dict__.pop("forward", None)


def _blocks(encoder: nn.Module) -> list[nn.Module]:
    return [module for module in encoder.modules() if isinstance(module, TransformerBlock | SwinBlock)]


def _fastest(run: Callable[[], object], device: torch.device) -> float:
    """Seconds of the fastest of a few runs, after one that compiles."""
    run()
    return min(seconds_of(run, device) for _ in range(RUNS))
