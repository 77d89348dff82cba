"""A contact sheet of what a model sees in pretraining: one row a sample, with its source, its views and its dates.

Every view has a colour: its box on the source, and its frame. Series that a sample's pictures do not show themselves stand
to the right, with the ground of the first global view drawn on them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from skysense.errors import OutputError
from skysense.protocol.sensors import S1, S2, SENSORS
from skysense.training.shards import Sample, ShardSet
from skysense.training.view_pictures import Picture, Stretch, enlarge, picture_of_hr, picture_of_s1, picture_of_s2
from skysense.training.views import View, ViewSettings, views_of

CELL, GAP, MARGIN = 208, 20, 28  # pixels
TITLE_ROW, CAPTION_ROW, ROW_GAP = 26, 20, 22
HEAD = 112
THIN = 4  # between small pictures of one cell
INK, QUIET, PAPER, RULE, NOTHING = (32, 32, 32), (96, 96, 96), (255, 255, 255), (224, 224, 224), (248, 248, 248)
DARK = (16, 16, 16)
# Okabe and Ito's colours, which colour-blind people can tell apart: first those of the global views.
FRAMES = ((0, 114, 178), (230, 159, 0), (0, 158, 115), (213, 94, 0), (204, 121, 167), (86, 180, 233))
MOST_LOOKED_AT = 512  # samples, among which those to show are chosen
SHOWN_DATES = 4


def draw_sheet(shards: ShardSet, path: Path, settings: ViewSettings, samples: int, seed: int, epoch: int) -> int:
    """Write the picture and give back how many samples it shows.

    Raises:
        ShardError: a sample that cannot be read. OutputError: another ending than .png, or no right to write.
    """
    if path.suffix.lower() != ".png":
        raise OutputError(f"{path.name} has another ending than .png.", "Add it to the name.")
    chosen = choose_samples(shards, samples, seed)
    columns = 2 + settings.global_views + 2
    width = 2 * MARGIN + columns * CELL + (columns - 1) * GAP
    step = TITLE_ROW + CELL + CAPTION_ROW + ROW_GAP
    sheet: Picture = np.full((HEAD + len(chosen) * step + MARGIN, width, 3), PAPER, np.uint8)
    _write(sheet, MARGIN, 36, "What the model sees", 21, INK, bold=True)
    what = f"{len(chosen)} of {len(shards):,} samples · seed {seed} · epoch {epoch} · grey: no data · % of the source's ground · a box and a frame of one colour belong together"
    _write(sheet, MARGIN, 60, what, 13, QUIET)
    views = [f"Global view {number + 1}" for number in range(settings.global_views)]
    for number, title in enumerate(("Source", *views, "Local views", "Sentinel-2", "Sentinel-1")):
        _write(sheet, _left(number), HEAD - 20, title, 14, INK, bold=True)
    for row, index in enumerate(chosen):
        sample = shards[index]
        _draw_row(sheet, HEAD + row * step, sample, views_of(sample, settings, seed, epoch, index), settings)
    done, data = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    try:
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}.", "Choose another folder.") from error
    return len(chosen)


def choose_samples(shards: ShardSet, count: int, seed: int) -> list[int]:
    """By chance, but sensors, sets and places take turns."""
    looked_at = np.random.default_rng(seed).permutation(len(shards))[:MOST_LOOKED_AT].tolist()
    chosen: list[int] = []
    shown: Counter[object] = Counter()
    while looked_at and len(chosen) < count:
        best = min(looked_at, key=lambda index: [shown[kind] for kind in _kinds(shards, index)])
        shown.update(_kinds(shards, best))
        chosen.append(best)
        looked_at.remove(best)
    return sorted(chosen, key=lambda index: (-len(shards.kind(index)[0]), index))


def _kinds(shards: ShardSet, index: int) -> tuple[object, object, object]:
    place = shards.place(index)
    return ("sensors", shards.kind(index)[0]), ("set", place.rsplit("/", 1)[0]), ("place", place)


# -- one row ---------------------------------------------------------------------------------------------------------
def _draw_row(sheet: Picture, top: int, sample: Sample, views: Sequence[View], settings: ViewSettings) -> None:
    lead = sample.sensors[0]
    stretch = Stretch.of(sample.arrays["s2"], sample.arrays["s2_valid"]) if "s2" in sample.arrays else Stretch(0, 1)
    date_shown = _clearest(views[0], lead)
    cv2.line(sheet, (MARGIN, top - 10), (sheet.shape[1] - MARGIN, top - 10), RULE, 1, cv2.LINE_AA)
    _write(sheet, MARGIN, top + 12, sample.place, 14, INK, bold=True)
    _write(sheet, MARGIN + _width(sample.place, 14, bold=True) + 14, top + 12, _facts(sample), 13, QUIET)
    tops = top + TITLE_ROW
    position = _position(sample, views[0], date_shown)
    source = enlarge(_source(sample, position, stretch), CELL)
    _paste(sheet, tops, MARGIN, _with_boxes(source, views, settings.global_views))
    shape = sample.arrays[lead].shape
    _write(sheet, MARGIN, tops + CELL + 15, f"{shape[-1]} x {shape[-2]} px, {_day(int(sample.days[lead][position]))}", 12, QUIET)
    for number, view in enumerate(views[: settings.global_views]):
        left = _left(number + 1)
        picture = _picture(view.arrays, lead, date_shown, stretch)
        _paste(sheet, tops, left, _framed(enlarge(picture, CELL), number, 4))
        _write(sheet, left, tops + CELL + 15, _said(view, lead), 12, QUIET)
    left = _left(1 + settings.global_views)
    pictures = [_picture(view.arrays, lead, date_shown, stretch) for view in views[settings.global_views :]]
    sides = _side(len(pictures))
    small = [_framed(enlarge(p, sides), settings.global_views + i, 3) for i, p in enumerate(pictures)]
    _paste_grid(sheet, tops, left, small)
    if pictures:
        shares = [f"{_share(view):.0%}" for view in sorted(views[settings.global_views :], key=_share)]
        between = " to ".join(dict.fromkeys((shares[0], shares[-1])))
        _write(sheet, left, tops + CELL + 15, f"{between}, {pictures[0].shape[1]} px", 12, QUIET)
    for number, sensor in enumerate(("s2", "s1")):
        left = _left(2 + settings.global_views + number)
        if sensor in sample.arrays:
            _draw_dates(sheet, tops, left, views[0], sensor, stretch)
        else:
            _paste(sheet, tops, left, np.full((CELL, CELL, 3), NOTHING, np.uint8))
            text = f"no {SENSORS[sensor].label}"
            _write(sheet, left + (CELL - _width(text, 12)) // 2, tops + CELL // 2, text, 12, QUIET)


def _draw_dates(sheet: Picture, top: int, left: int, view: View, sensor: str, stretch: Stretch) -> None:
    """Some dates of a series, from the first to the last, as the first global view has them."""
    count = len(view.arrays[sensor])
    shown = sorted({round(i * (count - 1) / max(1, SHOWN_DATES - 1)) for i in range(SHOWN_DATES)})
    side = _side(len(shown))
    small = []
    for number in shown:
        picture = enlarge(_picture(view.arrays, sensor, number, stretch), side)
        _box_on(picture, view.arrays[f"{sensor}_box"], view.arrays[sensor].shape[-2:], FRAMES[0])
        _tag(picture, _day(int(view.arrays[f"{sensor}_days"][number])))
        small.append(picture)
    _paste_grid(sheet, top, left, small)
    what = f"{len(shown)} of {count} dates" if count > len(shown) else f"{count} dates" if count > 1 else "1 date"
    _write(sheet, left, top + CELL + 15, f"{what}, {_bands(sensor, view.arrays[f'{sensor}_bands'])}", 12, QUIET)


def _position(sample: Sample, view: View, number: int) -> int:
    """Of a date of the views in the sample's whole series, where the views have all of it; else of the clearest date."""
    lead = sample.sensors[0]
    if lead == "hr":
        return 0
    clear = sample.arrays[f"{lead}_valid"].mean(axis=(1, 2))
    seen = np.flatnonzero(clear)
    return int(seen[number]) if len(seen) == len(view.arrays[lead]) else int(np.argmax(clear))


def _source(sample: Sample, position: int, stretch: Stretch) -> Picture:
    """The whole ground of the leading sensor, unchanged."""
    lead = sample.sensors[0]
    whole = {lead: sample.arrays[lead], f"{lead}_valid": sample.arrays[f"{lead}_valid"], f"{lead}_bands": sample.bands[lead]}
    return _picture(whole, lead, position, stretch)


def _picture(arrays: Mapping[str, NDArray[np.generic]], sensor: str, number: int, stretch: Stretch) -> Picture:
    values, bands, valid = arrays[sensor], arrays[f"{sensor}_bands"], arrays[f"{sensor}_valid"]
    if sensor == "hr":
        return picture_of_hr(values, bands, valid)
    if sensor == "s2":
        return picture_of_s2(values[number], bands, valid[number], stretch)
    return picture_of_s1(values[number], bands, valid[number])


def _clearest(view: View, lead: str) -> int:
    """The date on which most of a view has data, one of the middle among equals."""
    if lead == "hr":
        return 0
    seen = view.arrays[f"{lead}_valid"].mean(axis=(1, 2))
    best = np.flatnonzero(seen == seen.max())
    return int(best[len(best) // 2])


# -- words -----------------------------------------------------------------------------------------------------------
def _facts(sample: Sample) -> str:
    """Sensors, pixel size, place on Earth."""
    parts = []
    for sensor in sample.sensors:
        dates = "" if sensor == "hr" else f", {len(sample.days[sensor])} dates"
        parts.append(f"{SENSORS[sensor].label}{dates}")
    if sample.gsd_m is not None:
        parts.append(f"{sample.gsd_m:.3g} m a pixel")
    if sample.lonlat is not None:
        lon, lat = sample.lonlat
        parts.append(f"{abs(lat):.2f}° {'N' if lat >= 0 else 'S'} {abs(lon):.2f}° {'E' if lon >= 0 else 'W'}")
    return " · ".join(parts)


def _said(view: View, lead: str) -> str:
    """Share of the ground, bands, flips."""
    arrows = ("↕" if view.flipped[0] else "") + ("↔" if view.flipped[1] else "")
    side = view.arrays[lead].shape[-1]
    parts = [f"{_share(view):.0%}, {side} px", _bands(lead, view.arrays[f"{lead}_bands"]), f"flipped {arrows}" if arrows else ""]
    return ", ".join(part for part in parts if part)


def _share(view: View) -> float:
    """Of the source's ground."""
    return float(np.prod(view.box[2:] - view.box[:2]))


def _bands(sensor: str, bands: NDArray[np.generic]) -> str:
    if sensor == "hr":
        return "".join(name for name, there in zip(("R", "G", "B", "N"), bands) if there)
    names = (S2 if sensor == "s2" else S1).band_names
    if sensor == "s1":
        return "VV and VH" if bands.all() else f"{names[int(np.argmax(bands))]} alone"
    return f"{int(bands.sum())} of {len(names)} bands"


def _day(day: int) -> str:
    """Of the year, as of one with 366 days."""
    return "no date" if day == 0 else f"{date(2000, 1, 1) + timedelta(days=day - 1):%d %b}".lstrip("0")


# -- drawing ---------------------------------------------------------------------------------------------------------
def _left(column: int) -> int:
    return MARGIN + column * (CELL + GAP)


def _side(count: int) -> int:
    """Of the small pictures that fill a cell."""
    across = max(1, math.ceil(math.sqrt(count)))
    return (CELL - (across - 1) * THIN) // across


def _paste(sheet: Picture, top: int, left: int, picture: Picture) -> None:
    height, width = picture.shape[:2]
    sheet[top : top + height, left : left + width] = picture


def _paste_grid(sheet: Picture, top: int, left: int, pictures: Sequence[Picture]) -> None:
    side, across = _side(len(pictures)), max(1, math.ceil(math.sqrt(len(pictures))))
    for number, picture in enumerate(pictures):
        row, column = divmod(number, across)
        _paste(sheet, top + row * (side + THIN), left + column * (side + THIN), picture)


def _framed(picture: Picture, number: int, thickness: int) -> Picture:
    framed = picture.copy()
    height, width = framed.shape[:2]
    for line in range(thickness):
        cv2.rectangle(framed, (line, line), (width - 1 - line, height - 1 - line), FRAMES[number % len(FRAMES)], 1)
    return framed


def _with_boxes(picture: Picture, views: Sequence[View], global_views: int) -> Picture:
    drawn = picture.copy()
    for number, view in reversed(list(enumerate(views))):  # global views on top
        _box_on(drawn, view.box, (1, 1), FRAMES[number % len(FRAMES)], 3 if number < global_views else 2)
    return drawn


def _box_on(picture: Picture, box: NDArray[np.generic], size: Sequence[int], colour: tuple[int, ...], thickness: int = 2) -> None:
    """A box, given in pixels of an array of `size`, with a dark line around it, so that it shows on any ground."""
    height, width = picture.shape[:2]
    scale = np.array((height / size[0], width / size[1]) * 2)
    top, left, bottom, right = (round(float(edge)) for edge in np.asarray(box, np.float64) * scale)
    for line in range(-1, thickness):
        corners = (left + line, top + line), (right - 1 - line, bottom - 1 - line)
        cv2.rectangle(picture, *corners, DARK if line < 0 else colour, 1)


def _tag(picture: Picture, text: str) -> None:
    """Words on a picture's lower left corner."""
    width = _width(text, 11)
    height = picture.shape[0]
    picture[height - 17 :, : width + 8] = PAPER
    _write(picture, 4, height - 5, text, 11, INK)


def _write(sheet: Picture, left: int, base: int, text: str, size: int, colour: tuple[int, ...], bold: bool = False) -> None:
    cv2.putText(sheet, text, (left, base), colour, cv2.FontFace("sans"), size, 700 if bold else 400)


def _width(text: str, size: int, bold: bool = False) -> int:
    return int(cv2.getTextSize((1, 1), text, (0, 0), cv2.FontFace("sans"), size, 700 if bold else 400)[2])
