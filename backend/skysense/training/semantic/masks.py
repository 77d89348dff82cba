"""Which cells of a mosaic's label map are hidden.

The lower half, which makes a query of it as in use, or blocks as in BEiT (Bao et al., ICLR 2022), in the released loader's
numbers. Facts: reference sheet, section 5.5.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from skysense.training.semantic.settings import SemanticSettings

TRIES = 10  # to place one block


def draw_mask(rows: int, columns: int, settings: SemanticSettings, generator: np.random.Generator) -> NDArray[np.bool_]:
    """(rows, columns), True where the label map is hidden."""
    if generator.random() < settings.lower_half:
        hidden = np.zeros((rows, columns), bool)
        hidden[rows // 2 :] = True
        return hidden
    return draw_blocks(rows, columns, settings, generator)


def draw_blocks(rows: int, columns: int, settings: SemanticSettings, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Blocks until none fits any more, then single cells: always the same number is hidden."""
    hidden = np.zeros((rows, columns), bool)
    wanted = round(settings.hidden_share * rows * columns)
    while (left := wanted - int(hidden.sum())) > 0:
        if not add_block(hidden, left, settings, generator):
            shown = np.flatnonzero(~hidden)
            hidden.flat[generator.choice(shown, left, replace=False)] = True
    return hidden


def add_block(hidden: NDArray[np.bool_], left: int, settings: SemanticSettings, generator: np.random.Generator) -> bool:
    """Hide one more block of at most `left` cells that were shown; whether a place was found."""
    for _ in range(TRIES):
        area = generator.uniform(settings.fewest_cells, max(settings.fewest_cells, left))
        aspect = math.exp(generator.uniform(-1, 1) * math.log(settings.block_aspect))
        height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if not (0 < height <= hidden.shape[0] and 0 < width <= hidden.shape[1]):
            continue
        row, column = generator.integers(hidden.shape[0] - height + 1), generator.integers(hidden.shape[1] - width + 1)
        block = hidden[row : row + height, column : column + width]
        if 0 < block.size - block.sum() <= left:
            block[:] = True
            return True
    return False
