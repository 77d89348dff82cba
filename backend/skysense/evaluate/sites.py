"""Labelled places with dated Sentinel series: which a folder holds, and what tells their classes.

    SET/SITE/S2_YYYYMMDD.tif   SET/SITE/S1_YYYYMMDD.tif   (S1ASC_, S1DES_ where the orbit is known)
    SET/SITE/<any other>.tif   classes by pixel, or
    SET/SITE/labels.json       shares of the area by genus: {"genus_fraction": {"Betula": 0.73, …}}

A folder that holds dated images itself is a set of one site. `HR_*.tif` are left alone: they are no series. Sites without
labels are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from skysense.errors import LabelError
from skysense.evaluate.folders import find_class_names, group_of, group_pattern, ignored_values

IMAGE = re.compile(r"^(S1|S2)[A-Za-z]*_(\d{8})$")
NO_LABELS = re.compile(r"^(S1|S2|HR)[A-Za-z]*_")
ENDINGS = (".tif", ".tiff")
FRACTIONS = "genus_fraction"
REMEDY = "Each site needs S2_YYYYMMDD.tif or S1_YYYYMMDD.tif, and a raster of classes or labels.json beside them."


@dataclass(frozen=True)
class SeriesImage:
    path: Path
    sensor: str  # "s2" or "s1"
    day: str  # YYYYMMDD


@dataclass(frozen=True)
class Site:
    """One place: its images, Sentinel-2 first, each sensor by date, and one of the two kinds of labels."""

    name: str
    group: str  # the site's name where nothing else is said
    images: tuple[SeriesImage, ...]
    label_map: Path | None
    fractions: dict[str, float] | None  # genus -> share of the area

    @property
    def genus(self) -> str | None:
        """The one with the largest share, the first of equals."""
        shares = self.fractions
        return None if shares is None else max(shares, key=lambda name: shares[name])

    def days(self, sensor: str) -> tuple[str, ...]:
        return tuple(image.day for image in self.images if image.sensor == sensor)


@dataclass(frozen=True)
class SiteSet:
    """The labelled sites of a folder, all with the same kind of labels: classes by pixel where any has them."""

    name: str
    sites: tuple[Site, ...]
    ignored: frozenset[int]  # values of the label maps that are no class
    grouped: bool  # by an expression

    @property
    def by_pixel(self) -> bool:
        return self.sites[0].label_map is not None


def find_site_sets(folders: Iterable[str | Path], group_by: str | None = None) -> list[SiteSet]:
    """One set a folder.

    Args:
        folders: each a site, or a folder of sites.
        group_by: regular expression; its group 1 on a site's name is the group.

    Raises:
        LabelError: a folder is missing or holds no labelled series, several rasters that could be the labels, a
            `labels.json` without shares, or the expression has no group.
    """
    pattern = None if group_by is None else group_pattern(group_by)
    return [_find_set(Path(folder).resolve(), pattern) for folder in folders]


def _find_set(folder: Path, pattern: re.Pattern[str] | None) -> SiteSet:
    if not folder.is_dir():
        raise LabelError(f"{folder} is not a folder.", REMEDY)
    homes = [folder] if _images(folder) else [home for home in sorted(folder.iterdir()) if home.is_dir()]
    sites = [_site(home, images, pattern) for home in homes if (images := _images(home))]
    by_pixel = [site for site in sites if site.label_map is not None]
    labelled = by_pixel or [site for site in sites if site.fractions is not None]
    if not labelled:
        raise LabelError(f"{folder} holds {len(sites)} sites with dated Sentinel images, none of them labelled.", REMEDY)
    return SiteSet(folder.name, tuple(labelled), ignored_values(find_class_names([folder, *homes])), pattern is not None)


def _images(home: Path) -> tuple[SeriesImage, ...]:
    found = [
        SeriesImage(path, match[1].lower(), match[2])
        for path in sorted(home.iterdir())
        if path.suffix.lower() in ENDINGS and (match := IMAGE.match(path.stem))
    ]
    return tuple(sorted(found, key=lambda image: (image.sensor != "s2", image.day)))


def _site(home: Path, images: tuple[SeriesImage, ...], pattern: re.Pattern[str] | None) -> Site:
    maps = [path for path in sorted(home.iterdir()) if path.suffix.lower() in ENDINGS and not NO_LABELS.match(path.stem)]
    if len(maps) > 1:
        raise LabelError(
            f"{home} holds several rasters that could be its labels: {', '.join(path.name for path in maps)}.",
            "Leave one of them there.",
        )
    group = home.name if pattern is None else group_of(home.name, pattern)
    return Site(home.name, group, images, maps[0] if maps else None, _fractions(home / "labels.json"))


def _fractions(path: Path) -> dict[str, float] | None:
    if not path.is_file():
        return None
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        fractions = {str(name): float(share) for name, share in said.get(FRACTIONS, said).items()}
    except (ValueError, TypeError, AttributeError, OSError) as error:
        raise LabelError(
            f"{path} tells no shares of the area: {error}.", f'It holds an object like {{"{FRACTIONS}": {{"Betula": 0.7}}}}.'
        ) from error
    return fractions or None


def check_groups(sites: Sequence[Site]) -> None:
    """Raises LabelError where there are fewer than two groups."""
    groups = {site.group for site in sites}
    if len(groups) < 2:
        raise LabelError(
            f"--group-by gives {len(groups)} group of sites, leaving one out needs two.",
            "Give another expression, or none: then spatial blocks are left out.",
        )
