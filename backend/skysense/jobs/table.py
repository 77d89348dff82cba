"""Which module runs which request. Modules are imported when first asked for: torch must not delay the hello."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from skysense.jobs.report import Report
from skysense.protocol import requests as r

# request class -> module with `run(request, report) -> result`
JOBS: dict[type, str] = {
    r.DescribeRaster: "skysense.jobs.describe",
    r.EstimateCost: "skysense.jobs.estimate",
    r.ListModels: "skysense.jobs.list_models",
    r.EmbedScene: "skysense.jobs.embed",
    r.OpenView: "skysense.jobs.open_view",
    r.PromptView: "skysense.jobs.prompt_view",
    r.OutlineMask: "skysense.jobs.outline_mask",
    r.CloseView: "skysense.jobs.close_view",
    r.SegmentPoints: "skysense.jobs.segment_points",
    r.DetectChange: "skysense.jobs.detect_change",
    r.TrainSegmentation: "skysense.jobs.train_segmentation",
    r.ApplyModel: "skysense.jobs.apply_model",
    r.Diagnose: "skysense.jobs.diagnose",
}


def load(request_class: type) -> Callable[[Any, Report], Any]:
    """The function that runs requests of this class."""
    run: Callable[[Any, Report], Any] = importlib.import_module(JOBS[request_class]).run
    return run
