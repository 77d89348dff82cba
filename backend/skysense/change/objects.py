"""Scores averaged over image objects, so that change follows outlines instead of feature cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import slic

from skysense.change.pair import PixelPair
from skysense.change.scores import standardise
from skysense.change.statistics import Moments

OBJECT_PX = 100  # pixels each
COMPACTNESS = 0.1
SIGMA_PX = 1.0
# Objects are cut at the borders of blocks on a fixed grid. An object that crosses one is averaged in two parts; the
# result depends neither on the size of tiles nor on their order.
BLOCK_PX = 256


class Objects:
    """SLIC superpixels on both dates stacked, each band standardised over the layer.

    Achanta et al., "SLIC superpixels compared to state-of-the-art superpixel methods", TPAMI 2012.
    """

    def __init__(self) -> None:
        self._before, self._after = Moments(), Moments()

    def observe(self, pair: PixelPair) -> None:
        """Every counted pixel of the layer once."""
        self._before.add(pair.before[:, pair.counted])
        self._after.add(pair.after[:, pair.counted])

    def average(self, score: NDArray[np.float32], pair: PixelPair) -> NDArray[np.float32]:
        """The mean score of each pixel's object, over counted pixels (h, w) of one block."""
        if not pair.counted.any():
            return score
        stacked = np.concatenate([standardise(pair.before, self._before), standardise(pair.after, self._after)])
        stacked[:, ~pair.valid] = 0.0
        labels = slic(
            np.moveaxis(stacked, 0, -1),
            n_segments=max(1, score.size // OBJECT_PX),
            compactness=COMPACTNESS,
            sigma=SIGMA_PX,
            convert2lab=False,
            channel_axis=-1,
            start_label=0,
        )
        counted = labels[pair.counted]
        total = np.bincount(counted, score[pair.counted], labels.max() + 1)
        number = np.bincount(counted, minlength=labels.max() + 1)
        return np.asarray((total / np.maximum(number, 1))[labels], dtype=np.float32)
