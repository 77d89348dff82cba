"""Settings of masked semantic learning."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SemanticSettings:
    """What a run depends on beside model and data. Facts: reference sheet, section 5.5.

    The defaults are those of the released configuration: SkySense++ (doi 10.1038/s42256-025-01078-8), whose 256 mosaics
    a step were spread over 32 devices.
    """

    steps: int = 30_000
    batch: int = 256  # mosaics a step
    accumulate: int = 1  # equal parts of a batch, one after the other, to save memory; each of 2 mosaics or more
    learning_rate: float = 2e-4
    weight_decay: float = 0.04
    layer_decay: float = 0.7  # each layer of an encoder learns at this share of the next one's rate
    warmup: int = 1000  # steps
    gradient_norm: float = 5.0  # longer gradients are cut
    frozen_layers: int = 12  # of each encoder, the first so many blocks, and the patch embedding
    frozen_fusion_from: int = 2  # index of the first fusion block that keeps its weights
    precision: str = "bf16"  # by autocast, or "fp32"
    seed: int = 24042301
    # Mosaics
    vocabulary: int = 64  # labels that colours are given: the model's
    tile_px: int = 512  # HR pixels a side of one of the eight examples; a multiple of 128
    example_area: tuple[float, float] = (0.8, 1.0)  # share of an example that is cut out
    mosaic_area: tuple[float, float] = (0.3, 1.0)  # share of a mosaic that is cut out
    # Masks
    lower_half: float = 0.3  # probability that the lower half is hidden, as in use; else blocks by chance
    hidden_share: float = 0.5  # of the cells, in blocks by chance
    fewest_cells: int = 4  # of a block
    block_aspect: float = 0.3  # height by width of a block lies between it and its inverse
