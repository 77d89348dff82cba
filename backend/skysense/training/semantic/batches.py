"""Batches of masked semantic learning: mosaics whose classes are named by colours of chance, partly hidden.

A class has no name of its own: in each mosaic it is another colour and another label, so that the model has to read the
annotation that is shown. Every draw is a function of the settings' seed, the step and the mosaic's number.

Legend: B mosaics, H W their pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skysense.models.skysense.colour_labels import colours_to_labels
from skysense.models.skysense.normalise import IMAGENET_MEAN, IMAGENET_STD, standardise_hr, standardise_s1, standardise_s2
from skysense.models.skysense.one_shot import MASK_CELL
from skysense.models.skysense.plus_plus import PromptedPair
from skysense.training.semantic.masks import draw_mask
from skysense.training.semantic.mosaic import COLUMNS, ROWS, Annotated, draw_mosaic
from skysense.training.semantic.settings import SemanticSettings


def draw_parts(classes: Sequence[Sequence[Annotated]], settings: SemanticSettings, step: int) -> Iterator[PromptedPair]:
    """The parts of a step's batch, one after the other. Each mosaic shows one class, all of them equally often.

    Args:
        classes: for each class, the examples that show it; read one by one, so that they may lie in files.
        settings: of the run.
        step: its number.

    Raises:
        ValueError: a mosaic shows more classes than there are labels, or its examples do not go together.
    """
    per_part = settings.batch // settings.accumulate
    for part in range(settings.accumulate):
        numbers = range(part * per_part, (part + 1) * per_part)
        yield together([_draw(classes, settings, np.random.default_rng((settings.seed, step, i))) for i in numbers])


def together(drawn: Sequence[tuple[Annotated, NDArray[np.bool_]]]) -> PromptedPair:
    """Mosaics, their labels of the vocabulary already, and their masks as the model takes them."""
    mosaics = [mosaic for mosaic, _ in drawn]
    s2, s2_there = _stacked([mosaic.s2 for mosaic in mosaics])
    s1, s1_there = _stacked([mosaic.s1 for mosaic in mosaics])
    hr = standardise_hr(torch.stack([mosaic.hr for mosaic in mosaics]), IMAGENET_MEAN, IMAGENET_STD, None, None)
    return PromptedPair(
        hr=hr[:, :3],
        labels=torch.stack([mosaic.labels for mosaic in mosaics]),
        hidden=torch.from_numpy(np.stack([hidden for _, hidden in drawn])).int(),
        s2=None if s2 is None else standardise_s2(s2[:, None], None, None).transpose(1, 2),
        s1=None if s1 is None else standardise_s1(s1[:, None], None, None).transpose(1, 2),
        present=torch.stack([torch.ones_like(s2_there), s2_there, s1_there], dim=1),
    )


def recoloured(labels: Tensor, generator: np.random.Generator) -> Tensor:
    """Each class in a colour of chance, no two alike, background black: (H, W) int -> (H, W, 3) bytes."""
    found, index = torch.unique(labels, return_inverse=True)
    codes = generator.choice(2**24 - 1, len(found), replace=False) + 1  # 24 bits; 0 is black
    codes[found.numpy() == 0] = 0
    colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1).astype(np.uint8)
    return torch.from_numpy(colours)[index]


def named(colours: Tensor, vocabulary: int, generator: np.random.Generator) -> Tensor:
    """Each colour a label of chance, black 0: (H, W, 3) bytes -> (H, W) int, 0..V."""
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    image = ((colours / 255 - mean) / std).permute(2, 0, 1)
    return colours_to_labels(image[None], (generator.permutation(vocabulary) + 1).tolist()).labels[0]


def _draw(
    classes: Sequence[Sequence[Annotated]], settings: SemanticSettings, generator: np.random.Generator
) -> tuple[Annotated, NDArray[np.bool_]]:
    """One mosaic and its mask."""
    examples = classes[int(generator.integers(len(classes)))]
    count = ROWS * COLUMNS
    chosen = generator.choice(len(examples), count, replace=len(examples) < count)
    mosaic = draw_mosaic([examples[int(i)] for i in chosen], settings, generator)
    labels = named(recoloured(mosaic.labels, generator), settings.vocabulary, generator)
    rows, columns = (side // MASK_CELL for side in labels.shape)
    hidden = draw_mask(rows, columns, settings, generator)
    return Annotated(mosaic.hr, labels, mosaic.s2, mosaic.s1), hidden


def _stacked(images: Sequence[Tensor | None]) -> tuple[Tensor | None, Tensor]:
    """(B, C, h, w) with zeros where there is no image, None where there are none at all; and which are there (B,)."""
    there = torch.tensor([image is not None for image in images])
    shape = next((image.shape for image in images if image is not None), None)
    if shape is None:
        return None, there
    return torch.stack([torch.zeros(shape) if image is None else image for image in images]), there
