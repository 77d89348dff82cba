"""What the probe of series is asked: pixels by the classes of a map, or whole plots by their commonest genus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from skysense.errors import LabelError
from skysense.evaluate.ridge import FEWEST_CELLS
from skysense.evaluate.site_pixels import Extract, Indices, Pixels, draw_pixels, pixel_features
from skysense.evaluate.sites import Site, SiteSet, check_groups
from skysense.models.interface import EncoderInfo

BLOCKS = 4  # a side of a site
FOLDS = 4
FEWEST_PLOTS = 2  # of a genus


@dataclass(frozen=True)
class Samples:
    """Those of all sites of a set, one site after the other: N of them."""

    sites: tuple[Site, ...]
    pixels: tuple[Pixels, ...]  # of each site
    labels: Indices  # (N,) index of the class
    folds: Indices  # (N,) number of the fold that holds it out
    classes: int
    by_pixel: bool  # else a sample is a site

    def table(self, info: EncoderInfo, extract: Extract) -> NDArray[np.float32]:
        """(N, D) features."""
        tables = [pixel_features(site, pixels, info, extract) for site, pixels in zip(self.sites, self.pixels)]
        return np.concatenate(tables) if self.by_pixel else np.stack([table.mean(axis=0) for table in tables])


def draw_samples(labelled: SiteSet, info: EncoderInfo, seed: int) -> Samples:
    """The samples of a set; `seed` is of the draw of pixels where a site has very many.

    Raises:
        LabelError: fewer than two classes, two folds, or two plots of two genera, or no class with pixels enough.
    """
    if labelled.grouped:
        check_groups(labelled.sites)
    generator = np.random.default_rng(seed)
    return _by_pixel(labelled, info, generator) if labelled.by_pixel else _by_plot(labelled, info, generator)


def block_folds(pixels: Pixels) -> Indices:
    """(n,) a number below 4: the fold of the block that a pixel lies in. Blocks of one fold do not touch."""
    down, across = pixels.rows * BLOCKS // pixels.height, pixels.columns * BLOCKS // pixels.width
    return (2 * down + across) % FOLDS


def _by_pixel(labelled: SiteSet, info: EncoderInfo, generator: np.random.Generator) -> Samples:
    sites, pixels = _with_data(labelled, info, generator)
    classes, labels = np.unique(np.concatenate([own.labels for own in pixels]), return_inverse=True)
    if len(classes) < 2:
        raise LabelError(
            f"The labelled pixels of {labelled.name} hold the classes {classes.tolist()}, a probe needs two.",
            "Check the label map, its nodata value, and that it lies on the images.",
        )
    if labelled.grouped:
        folds = np.repeat(_group_folds(sites), [len(own.rows) for own in pixels])
    else:
        folds = np.concatenate([block_folds(own) for own in pixels])
    most = np.bincount(folds * len(classes) + labels).max()
    if len(np.unique(folds)) < 2 or most < FEWEST_CELLS:
        raise LabelError(
            f"{labelled.name} has {len(labels)} labelled pixels in {len(np.unique(folds))} folds, at most {most} of a class "
            f"in one; two folds and {FEWEST_CELLS} pixels are needed.",
            "Label more of the site, or more sites.",
        )
    return Samples(sites, pixels, labels, folds, len(classes), True)


def _by_plot(labelled: SiteSet, info: EncoderInfo, generator: np.random.Generator) -> Samples:
    genera = [site.genus or "" for site in labelled.sites]
    classes = sorted(genus for genus in set(genera) if genera.count(genus) >= FEWEST_PLOTS)
    kept = replace(labelled, sites=tuple(site for site in labelled.sites if site.genus in classes))
    if len(classes) < 2:
        counted = ", ".join(f"{genus} {genera.count(genus)}" for genus in sorted(set(genera)))
        raise LabelError(
            f"The plots of {labelled.name} by their commonest genus: {counted}; two of each of two genera are needed.",
            "Add plots, or a raster of classes beside the images of a site.",
        )
    sites, pixels = _with_data(kept, info, generator)
    labels = np.array([classes.index(site.genus or "") for site in sites])
    folds = _group_folds(sites) if labelled.grouped else plot_folds(labels)
    if len(np.unique(folds)) < 2:
        raise LabelError(
            f"The plots of {labelled.name} that have data make one fold, two are needed.", "Add plots, or group them otherwise."
        )
    return Samples(sites, pixels, labels, folds, len(classes), False)


def _with_data(
    labelled: SiteSet, info: EncoderInfo, generator: np.random.Generator
) -> tuple[tuple[Site, ...], tuple[Pixels, ...]]:
    """The sites with labelled pixels, and these; raises LabelError where there are none."""
    drawn = [(site, draw_pixels(site, info, labelled.ignored, generator)) for site in labelled.sites]
    drawn = [(site, pixels) for site, pixels in drawn if len(pixels.rows)]
    if not drawn:
        raise LabelError(
            f"{labelled.name} has no labelled pixels with data.",
            "Check the label map, its nodata value, and that it lies on the images.",
        )
    return tuple(site for site, _ in drawn), tuple(pixels for _, pixels in drawn)


def plot_folds(labels: Indices) -> Indices:
    """(n,) as many folds as the rarest class has plots; the plots of each class go round.

    Leaving single plots out would tip the balance of the others against the one left out.
    """
    folds = np.zeros_like(labels)
    for index in np.unique(labels):
        own = np.flatnonzero(labels == index)
        folds[own] = np.arange(len(own)) % np.bincount(labels).min()
    return folds


def _group_folds(sites: Sequence[Site]) -> Indices:
    groups = list(dict.fromkeys(site.group for site in sites))
    return np.array([groups.index(site.group) for site in sites])
