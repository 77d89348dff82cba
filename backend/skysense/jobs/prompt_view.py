"""Prompts of an open view -> its mask."""

from __future__ import annotations

import time

from skysense.jobs import views
from skysense.jobs.report import Report
from skysense.protocol.requests import MaskReady, PromptView


def run(request: PromptView, report: Report) -> MaskReady:
    """The mask for all prompts of the request, as a file that QGIS maps into memory."""
    started = time.perf_counter()
    view = views.get(request.view)
    mask = view.mask(request.prompts)
    return MaskReady(
        view=view.name,
        mask=view.write(mask),
        pixels=int(mask.sum()),
        milliseconds=1e3 * (time.perf_counter() - started),
    )
