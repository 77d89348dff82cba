"""How well change is found without labels: the product's own scores and thresholds on labelled pairs of dates.

Statistics and thresholds are taken per group, which is an event or a tile; so the group is what the tool would see as
one layer. Three thresholds are judged: the tool's own (`auto`), the best one of the other groups (`train`), and the
best one of the group itself (`best`), which needs its labels and is an upper bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray

from skysense.change.decide import Decision, apart, one_sided, plain, summed
from skysense.change.deep_features import DeepFeatures
from skysense.change.objects import BLOCK_PX, Objects
from skysense.change.pair import PixelPair, comparable, solid
from skysense.change.scores import ChangeVector, LogRatio, Method
from skysense.change.statistics import Histogram
from skysense.change.threshold import DEEP_FLOOR, PER_DATE_FLOOR
from skysense.errors import LabelError
from skysense.evaluate.folders import DatePair, LabelledSet, find_sets, read_bands, read_labels
from skysense.models.catalog import load_encoder
from skysense.models.interface import Encoder

# Plain 8-bit pictures say nothing of gaps: black in optical ones (JPEG: nearly), white in radar.
BLACK, WHITE = 5, 254
EVERYTHING = "everything"
Scores = NDArray[np.float32]


@dataclass(frozen=True)
class Event:
    """All pairs of one group and sensor."""

    labelled: str
    group: str
    sensor: str
    stems: tuple[str, ...]
    pairs: tuple[PixelPair, ...]
    changed: tuple[NDArray[np.bool_], ...]  # (h, w) each
    known: tuple[NDArray[np.bool_], ...]  # where the mask says anything


@dataclass(frozen=True)
class Scored:
    """An event as a method sees it: scores of its known pixels, counted, and the tool's own threshold."""

    method: str
    sensor: str
    labelled: str
    group: str
    threshold: float
    every: Histogram
    changed: Histogram
    seconds: float
    digest: str | None


def run(
    folders: Sequence[str | Path],
    *,
    seed: int = 0,
    model: str = "skysense-nano",
    weights: str | Path | None = None,
    baselines: bool = False,
    group_by: str | None = None,
) -> list[dict[str, object]]:
    """One row a group, sensor, method and rule for the threshold.

    Args:
        folders: folders of pairs, see `folders`.
        seed: nothing is left to chance; the rows name it as all rows do.
        model: encoder of the deep features.
        weights: a file in place of the bundled one.
        baselines: also change vectors of dates standardised one by one, Otsu on the signed log-ratio and on its size,
            and the map that calls everything changed.
        group_by: regular expression; its group 1 on a file's stem is the group.

    Raises:
        LabelError: no pairs of dates, or images and masks of different sizes.
    """
    sets = find_sets(folders, group_by)
    if not any(labelled.pairs for labelled in sets):
        raise LabelError("The folders hold no pairs of dates.", "Each needs before/, after/ and masks/.")
    encoder = Encoders(model, Path(weights) if weights else None)
    scored = [entry for labelled in sets for entry in _score_set(labelled, encoder, baselines)]
    rows: list[dict[str, object]] = []
    for entry in scored:
        others = [o for o in scored if (o.method, o.sensor, o.labelled) == (entry.method, entry.sensor, entry.labelled)]
        others = [other for other in others if other.group != entry.group]
        rules = {"auto": entry.threshold}
        if entry.method != EVERYTHING:
            rules |= {"train": best_threshold(others)} if others else {}
            rules["best"] = best_threshold([entry])
        rows += [_row(entry, rule, threshold, seed, model) for rule, threshold in rules.items()]
    return rows


def _row(entry: Scored, rule: str, threshold: float, seed: int, model: str) -> dict[str, object]:
    return {
        "set": entry.labelled,
        "sensor": entry.sensor,
        "group": entry.group,
        "method": entry.method,
        "threshold_rule": rule,
        "threshold": threshold,
        **figures(entry, threshold),
        "pr_auc": average_precision(entry),
        "pixels": entry.every.total,
        "seed": seed,
        "seconds": round(entry.seconds, 2),
        "model": model if entry.digest else None,
        "weights_sha256": entry.digest,
    }


@dataclass
class Encoders:
    """The encoder, loaded when a method first asks for it."""

    model: str
    weights: Path | None
    _loaded: Encoder | None = None

    def get(self) -> Encoder:
        if self._loaded is None:
            self._loaded = load_encoder(self.model, self.weights)
        return self._loaded


# -- scores ----------------------------------------------------------------------------------------------------------
def _score_set(labelled: LabelledSet, encoder: Encoders, baselines: bool) -> Iterator[Scored]:
    groups: dict[tuple[str, str], list[DatePair]] = {}
    for pair in labelled.pairs:
        groups.setdefault((pair.group, pair.sensor or "HR"), []).append(pair)
    for group in dict.fromkeys(group for group, _ in groups):
        events = {
            sensor: _event(labelled, group, sensor, pairs) for (g, sensor), pairs in groups.items() if g == group
        }
        for event in events.values():
            for name, judge in _methods(event.sensor, encoder, baselines).items():
                yield _scored(event, name, judge, encoder if name == "deep-features" else None)
        if "S2" in events and "S1" in events:
            both = _both(events["S2"], events["S1"])
            if both is not None:
                yield both


def _event(labelled: LabelledSet, group: str, sensor: str, files: Sequence[DatePair]) -> Event:
    pairs, changed, known = [], [], []
    for pair in files:
        before, after, mask = read_bands(pair.before), read_bands(pair.after), read_labels(pair.mask)
        if before.shape != after.shape or mask.shape != before.shape[1:]:
            raise LabelError(
                f"{pair.stem}: {before.shape} before, {after.shape} after, mask {mask.shape}.",
                "Save both dates and the mask on one grid with the same bands.",
            )
        usable = comparable(_seen(before, sensor) & _seen(after, sensor))
        scale = 1 / 255 if before.dtype == np.uint8 and sensor != "S1" else 1.0
        first, second = (np.nan_to_num(bands.astype(np.float32)) * np.float32(scale) for bands in (before, after))
        pairs.append(PixelPair(first, second, usable, usable))
        changed.append((mask > 0) & ~np.isin(mask, list(labelled.ignored)))
        known.append(~np.isin(mask, list(labelled.ignored)))
    stems = tuple(pair.stem for pair in files)
    return Event(labelled.name, group, sensor, stems, tuple(pairs), tuple(changed), tuple(known))


def _seen(stored: NDArray[np.generic], sensor: str) -> NDArray[np.bool_]:
    bands = stored.astype(np.float32)
    if stored.dtype != np.uint8:
        return np.asarray(np.isfinite(bands).all(axis=0))
    gap = (bands >= WHITE).all(axis=0) if sensor == "S1" else (bands <= BLACK).all(axis=0)
    return ~solid(np.asarray(gap))


Judge = Callable[[Event], tuple[list[Scores], Decision]]


def _methods(sensor: str, encoder: Encoders, baselines: bool) -> dict[str, Judge]:
    """What is judged on a sensor: the tool's choice first."""

    def vector(event: Event) -> tuple[list[Scores], Decision]:
        raw = _raw(ChangeVector(), event)
        return raw, plain(_histogram(raw), 0.0, "")

    def per_date(event: Event) -> tuple[list[Scores], Decision]:
        raw = _raw(ChangeVector(per_date=True), event)
        return raw, plain(_histogram(raw), PER_DATE_FLOOR, "")

    def deep(event: Event) -> tuple[list[Scores], Decision]:
        raw = _deep(event, encoder.get())
        return raw, plain(_histogram(raw), DEEP_FLOOR, "")

    def both_ways(event: Event) -> tuple[list[Scores], Decision]:
        raw = _raw(LogRatio(), event)
        return raw, apart(_histogram(raw))

    def fall(event: Event) -> tuple[list[Scores], Decision]:
        raw = _raw(LogRatio(), event)
        return raw, plain(one_sided(_histogram(raw), 1), 0.0, "")

    def signed_fall(event: Event) -> tuple[list[Scores], Decision]:
        raw = _raw(LogRatio(), event)
        return raw, plain(_histogram(raw), -np.inf, "")

    def size(event: Event) -> tuple[list[Scores], Decision]:
        raw = [np.abs(scores) for scores in _raw(LogRatio(), event)]
        return raw, plain(_histogram(raw), 0.0, "")

    def everything(event: Event) -> tuple[list[Scores], Decision]:
        raw = [np.where(pair.counted, 1.0, np.nan).astype(np.float32) for pair in event.pairs]
        return raw, Decision(lambda same: same, 0.0, "", {})

    if sensor == "S1":
        chosen: dict[str, Judge] = {"log-ratio": both_ways, "log-ratio-fall": fall}
        others: dict[str, Judge] = {"log-ratio-fall-signed": signed_fall, "log-ratio-size": size}
    elif sensor == "S2":
        chosen, others = {"change-vector": vector}, {"change-vector-per-date": per_date}
    else:
        chosen, others = {"deep-features": deep}, {"change-vector": vector}
    return {**chosen, **others, EVERYTHING: everything} if baselines else chosen


def _scored(event: Event, name: str, judge: Judge, encoder: Encoders | None) -> Scored:
    started = perf_counter()
    raw, decision = judge(event)
    shown = [decision.score(scores) for scores in raw]
    every, changed = _count(shown, event)
    return Scored(
        method=name,
        sensor=event.sensor,
        labelled=event.labelled,
        group=event.group,
        threshold=decision.threshold,
        every=every,
        changed=changed,
        seconds=perf_counter() - started,
        digest=None if encoder is None else encoder.get().info.digest,
    )


def _both(optical: Event, radar: Event) -> Scored | None:
    """The sum of both sensors, on the pixels that both of them see."""
    started = perf_counter()
    common = [stem for stem in optical.stems if stem in radar.stems]
    if not common:
        return None
    optical, radar = _on_common(optical, radar, common), _on_common(radar, optical, common)
    vector, fall = _raw(ChangeVector(), optical), _raw(LogRatio(), radar)
    combine = summed(_histogram(vector), _histogram(fall))
    shown = [combine(a, b) for a, b in zip(vector, fall)]
    every, changed = _count(shown, optical)
    threshold = plain(_histogram(shown), -np.inf, "").threshold
    seconds = perf_counter() - started
    return Scored(
        "change-vector + log-ratio", "S2+S1", optical.labelled, optical.group, threshold, every, changed, seconds, None
    )


def _on_common(event: Event, other: Event, stems: Sequence[str]) -> Event:
    """The event's pairs of these stems, counted where the other one is valid too."""
    pairs, changed, known = [], [], []
    for stem in stems:
        here, there = event.stems.index(stem), other.stems.index(stem)
        own = event.pairs[here]
        pairs.append(PixelPair(own.before, own.after, own.valid, own.valid & other.pairs[there].valid))
        changed.append(event.changed[here])
        known.append(event.known[here])
    return Event(
        event.labelled, event.group, event.sensor, tuple(stems), tuple(pairs), tuple(changed), tuple(known)
    )


def _raw(method: Method, event: Event) -> list[Scores]:
    """The method's scores of each pair, NaN where a pixel does not count."""
    for pair in event.pairs:
        method.observe(pair)
    return [np.where(pair.counted, method.score(pair), np.nan).astype(np.float32) for pair in event.pairs]


def _deep(event: Event, encoder: Encoder) -> list[Scores]:
    bands = ("R", "G", "B", "N")[: len(event.pairs[0].before)]
    objects = Objects()
    for pair in event.pairs:
        objects.observe(pair)
    scores = _raw(DeepFeatures(encoder, "hr", bands, torch.device("cpu")), event)
    averaged = (average_by_blocks(objects, score, pair) for score, pair in zip(scores, event.pairs))
    return [np.where(pair.counted, score, np.nan).astype(np.float32) for score, pair in zip(averaged, event.pairs)]


def average_by_blocks(objects: Objects, score: Scores, pair: PixelPair) -> Scores:
    """Averaged over objects that end at the borders of blocks, as the job's do."""
    averaged = np.empty_like(score)
    for row in range(0, score.shape[0], BLOCK_PX):
        for column in range(0, score.shape[1], BLOCK_PX):
            block = np.s_[row : row + BLOCK_PX, column : column + BLOCK_PX]
            every = (slice(None), *block)
            part = PixelPair(pair.before[every], pair.after[every], pair.valid[block], pair.counted[block])
            averaged[block] = objects.average(score[block], part)
    return averaged


# -- figures ---------------------------------------------------------------------------------------------------------
def _histogram(scores: Sequence[Scores]) -> Histogram:
    histogram = Histogram()
    for values in scores:
        histogram.add(values.astype(np.float16))
    return histogram


def _count(scores: Sequence[Scores], event: Event) -> tuple[Histogram, Histogram]:
    """Of all known pixels, and of the changed ones among them."""
    every, changed = Histogram(), Histogram()
    for values, truth, known in zip(scores, event.changed, event.known):
        every.add(values[known].astype(np.float16))
        changed.add(values[known & truth].astype(np.float16))
    return every, changed


def _curve(entries: Sequence[Scored]) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """For each score, ascending: the score, and how many pixels lie above it, in all and changed."""
    every, changed = Histogram(), Histogram()
    for entry in entries:
        every.counts += entry.every.counts
        changed.counts += entry.changed.counts
    values, counts = every.occurring()
    right = changed.counts[values.astype(np.float16).view(np.uint16)]
    return values, counts.sum() - np.cumsum(counts), right.sum() - np.cumsum(right)


def figures(entry: Scored, threshold: float) -> dict[str, float | None]:
    """F1, precision and recall of the pixels above a threshold; None where a figure has no meaning."""
    values, counts = entry.every.occurring()
    called = int(counts[values > threshold].sum())
    values, counts = entry.changed.occurring()
    right, there = int(counts[values > threshold].sum()), int(counts.sum())
    return {
        "f1": 2 * right / (called + there) if called + there else None,
        "precision": right / called if called else None,
        "recall": right / there if there else None,
    }


def best_threshold(entries: Sequence[Scored]) -> float:
    """The one with the best F1 over the entries' pixels together."""
    values, called, right = _curve(entries)
    there = sum(entry.changed.total for entry in entries)
    f1 = 2 * right / np.maximum(called + there, 1)
    return float(values[np.argmax(f1)])


def average_precision(entry: Scored) -> float | None:
    """Area under precision over recall, in steps; pixels of equal score together. None without changed pixels."""
    values, called, right = _curve([entry])
    there = entry.changed.total
    if not there:
        return None
    called = np.concatenate([[entry.every.total], called[:-1]])  # at or above each score
    right = np.concatenate([[there], right[:-1]])
    gained = right - np.concatenate([right[1:], [0]])
    return float((right / np.maximum(called, 1) * gained).sum() / there)
