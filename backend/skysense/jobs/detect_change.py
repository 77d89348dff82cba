"""Two dated scenes -> change score, mask and polygons.

Statistics and thresholds are taken over the whole layer, never per tile, so that no seams appear; scores wait on disk
between the passes, so that a layer of any size fits.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skysense.change.decide import Decision, apart, plain, summed
from skysense.change.patches import Patch, PatchFinder, without_small
from skysense.change.scene_pairs import on_one_grid
from skysense.change.statistics import Histogram
from skysense.change.threshold import DEEP_FLOOR, PER_DATE_FLOOR
from skysense.jobs.change_scores import ScoredPart, Scoring, choose_parts
from skysense.jobs.change_warnings import check_dates, stored_alike, warnings_for
from skysense.jobs.encoders import choose_device, encoder_on
from skysense.jobs.provenance import inputs_of, run_facts, scene_facts
from skysense.jobs.report import FINISHING, Part, Report, telling
from skysense.protocol.requests import ChangeWritten, DetectChange
from skysense.scene.grid import Grid, Window
from skysense.scene.read import SceneReader
from skysense.scene.vector import write_polygons
from skysense.scene.write import OutputSet, RasterWriter, check_outputs, working_folder

NO_DATA = 255
CHANGED_COLOUR = (214, 39, 40, 255)
FALL, RISE = 1, 2  # kinds of change of a signed score; all others have kind 1 alone
LAYER = "changes"


def run(request: DetectChange, report: Report) -> ChangeWritten:
    """Score the pair, find the threshold, write what was asked for.

    Raises:
        RequestError: unknown method, dates in the wrong order. DateError: an acquisition without a date.
        BandError: no sensor or band in common. GridError: no ground in common. ModelError, OutputError.
    """
    started = time.monotonic()
    report.progress(0.0, "Checking the scenes")
    before_date, after_date = check_dates(request.before, request.after)
    parts = choose_parts(request)
    check_outputs(
        (request.score_path, request.mask_path, request.polygons_path), inputs_of(request.before, request.after)
    )
    with ExitStack() as stack:
        scene = stack.enter_context(SceneReader(on_one_grid(request.before, request.after)))
        folder = stack.enter_context(working_folder(Path(request.score_path)))
        shares = [Part(report, 0.8 * i / len(parts), 0.8 * (i + 1) / len(parts)) for i in range(len(parts))]
        scored = [
            Scoring.of(sensor, method, scene, request, share).score(Path(folder), share)
            for (sensor, method), share in zip(parts, shares)
        ]
        decision = _decide(scored, request, Part(report, 0.8, 0.82))
        threshold = decision.threshold if request.threshold is None else request.threshold
        warnings = warnings_for(request, scene, [part.method for part in scored], threshold)
        facts = {
            **scene_facts(request.before, "before_"),
            **scene_facts(request.after, "after_"),
            **run_facts(request, "score_path", "mask_path", "polygons_path"),
            "method": _name(scored),
            "bands_compared": {part.sensor: part.bands for part in scored},
            "threshold": threshold,
            "threshold_rule": "user" if request.threshold is not None else "automatic",
            "score_unit": decision.unit,
            "minimum_area_m2": request.minimum_area_m2,
            **decision.facts,
        }
        if any(part.method == "deep-features" for part in scored):
            device = choose_device(request.device)
            encoder = encoder_on(request.encoder, device)
            facts |= {"device": str(device), "encoder": encoder.info.key, "encoder_digest": encoder.info.digest}
        output = Output(request, scene.grid, scored, decision, threshold, facts)
        share, patches = output.write((before_date, after_date), Part(report, 0.82, 1.0))
    return ChangeWritten(
        score_path=request.score_path,
        mask_path=request.mask_path,
        polygons_path=request.polygons_path,
        method=_name(scored),
        threshold=threshold,
        changed_share=share,
        polygons=patches,
        before_date=before_date,
        after_date=after_date,
        warnings=tuple(warnings),
        seconds=time.monotonic() - started,
    )


def _name(scored: list[ScoredPart]) -> str:
    return " + ".join(part.method for part in scored)


# -- decision --------------------------------------------------------------------------------------------------------
def _decide(scored: list[ScoredPart], request: DetectChange, report: Report) -> Decision:
    """Each method's rule for the threshold, on the whole layer."""
    stage = "Finding the threshold"
    if len(scored) == 2:
        optical, radar = (part.layer for part in scored)
        combine = summed(
            optical.histogram(telling(Part(report, 0.0, 0.3), stage)), radar.histogram(telling(Part(report, 0.3, 0.6), stage))
        )
        histogram = Histogram()
        for rows in optical.strips():
            report.progress(0.6 + 0.4 * rows.start / optical.height, stage)
            window = Window(rows.start, 0, rows.stop - rows.start, optical.width)
            histogram.add(combine(optical.read(window), radar.read(window)).astype(np.float16))
        found = plain(histogram, -np.inf, "sum of standard scores of both sensors")
        return Decision(combine, found.threshold, found.unit, {"otsu": found.facts["otsu"]})
    (part,) = scored
    histogram = part.layer.histogram(telling(report, stage))
    if part.method == "log-ratio":
        return apart(histogram)
    if part.method == "deep-features":
        return plain(histogram, DEEP_FLOOR, "distance of standardised features: 0 the same, 1.41 unrelated")
    floor = 0.0 if stored_alike(request.before, request.after, part.sensor) else PER_DATE_FLOOR
    return plain(histogram, floor, "length of the change vector in standard deviations of the bands")


# -- outputs ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Output:
    """The files of one request."""

    request: DetectChange
    grid: Grid
    scored: list[ScoredPart]
    decision: Decision
    threshold: float
    facts: dict[str, object]

    def write(self, dates: tuple[str, str], report: Report) -> tuple[float, int]:
        """Write them all, none if one fails; the changed share of the valid pixels and the number of polygons."""
        minimum = self.request.minimum_area_m2
        finder = None
        if self.request.polygons_path is not None or (minimum > 0 and self.request.mask_path is not None):
            finder = PatchFinder(self.grid)
            for rows, score, kinds in self._strips(Part(report, 0.0, 0.4), "Outlining changes"):
                finder.add(rows, kinds, score)
        patches = finder.patches(minimum, telling(Part(report, 0.4, 0.5), "Outlining changes")) if finder is not None else []
        keep = iter(finder.kept(minimum)) if finder is not None else None
        changed = counted = 0
        inputs = inputs_of(self.request.before, self.request.after)
        with OutputSet() as files, ExitStack() as stack:
            raster = stack.enter_context(
                RasterWriter(
                    self.request.score_path, self.grid, ["change score"], "float32", np.nan, inputs=inputs,
                    facts=self.facts, finishing=telling(Part(report, 0.9, 1.0), FINISHING), together=files,
                )
            )  # fmt: skip
            mask = None
            if self.request.mask_path is not None:
                palette = {0: (255, 255, 255, 0), 1: CHANGED_COLOUR}
                mask = stack.enter_context(
                    RasterWriter(
                        self.request.mask_path, self.grid, ["changed"], "uint8", NO_DATA, inputs=inputs, facts=self.facts,
                        palette=palette, finishing=telling(Part(report, 0.85, 0.9), FINISHING), together=files,
                    )
                )  # fmt: skip
            for rows, score, kinds in self._strips(Part(report, 0.5, 0.84), "Writing rasters"):
                window = Window(rows.start, 0, rows.stop - rows.start, self.grid.width)
                kept = kinds if keep is None else without_small(kinds, next(keep))
                valid = ~np.isnan(score)
                changed, counted = changed + int((kept > 0).sum()), counted + int(valid.sum())
                raster.write(window, score[None])
                if mask is not None:
                    mask.write(window, np.where(valid, kept > 0, NO_DATA)[None])
            share = changed / max(counted, 1)
            raster.note(changed_share=share)
            if self.request.polygons_path is not None:
                report.progress(0.84, "Writing polygons")
                self._write_polygons(self.request.polygons_path, patches, dates, files)
            report.progress(0.85, FINISHING)
        return share, len(patches) if self.request.polygons_path is not None else 0

    def _strips(
        self, report: Report, stage: str
    ) -> Iterator[tuple[slice, NDArray[np.float32], NDArray[np.uint8]]]:
        """Rows, the score that is shown (h, W) as its raster stores it, and kinds of change (h, W)."""
        for rows in self.scored[0].layer.strips():
            report.progress(rows.start / self.grid.height, stage)
            window = Window(rows.start, 0, rows.stop - rows.start, self.grid.width)
            raw = [part.layer.read(window) for part in self.scored]
            score = self.decision.score(*raw).astype(np.float16).astype(np.float32)
            kinds = np.where(score > self.threshold, FALL, 0).astype(np.uint8)
            if self._signed:
                kinds[(kinds > 0) & (raw[0] < 0)] = RISE
            yield rows, score, kinds

    @property
    def _signed(self) -> bool:
        return [part.method for part in self.scored] == ["log-ratio"]

    def _write_polygons(self, path: str, patches: list[Patch], dates: tuple[str, str], files: OutputSet) -> None:
        fields: dict[str, list[object]] = {
            "before_date": [np.datetime64(dates[0])] * len(patches),
            "after_date": [np.datetime64(dates[1])] * len(patches),
            "area_m2": [patch.area_m2 for patch in patches],
            "mean_score": [patch.mean_score for patch in patches],
            "max_score": [patch.max_score for patch in patches],
        }
        if self._signed:
            names = {FALL: "darker", RISE: "brighter"}
            fields["direction"] = [names[patch.kind] for patch in patches]
        outlines = [patch.outline for patch in patches]
        inputs = inputs_of(self.request.before, self.request.after)
        write_polygons(path, LAYER, outlines, fields, self.grid.crs_text, inputs, files, self.facts)
