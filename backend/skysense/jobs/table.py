"""Which module runs which request. Modules are imported when first asked for: torch must not delay the hello."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from typing import Any

from skysense.errors import DeviceError, ran_out_of_memory
from skysense.jobs.report import Report
from skysense.protocol import requests as r

log = logging.getLogger(__name__)

# request class -> module with `run(request, report) -> result`
JOBS: dict[type, str] = {
    r.DescribeRaster: "skysense.jobs.describe",
    r.EstimateCost: "skysense.jobs.estimate",
    r.ListModels: "skysense.jobs.list_models",
    r.EmbedScene: "skysense.jobs.embed",
    r.ConvertModel: "skysense.jobs.convert_model",
    r.MeasureSpeed: "skysense.jobs.measure_speed",
    r.OpenView: "skysense.jobs.open_view",
    r.PromptView: "skysense.jobs.prompt_view",
    r.OutlineMask: "skysense.jobs.outline_mask",
    r.CloseView: "skysense.jobs.close_view",
    r.SegmentPoints: "skysense.jobs.segment_points",
    r.SegmentByExample: "skysense.jobs.segment_by_example",
    r.DetectChange: "skysense.jobs.detect_change",
    r.TrainSegmentation: "skysense.jobs.train_segmentation",
    r.MakeShards: "skysense.jobs.make_shards",
    r.ApplyModel: "skysense.jobs.apply_model",
    r.Diagnose: "skysense.jobs.diagnose",
}


def load(request_class: type) -> Callable[[Any, Report], Any]:
    """The function that runs requests of this class.

    What it raises where memory ends, on a GPU or not, is a DeviceError.
    """
    run: Callable[[Any, Report], Any] = importlib.import_module(JOBS[request_class]).run

    def within_memory(request: Any, report: Report) -> Any:
        try:
            return run(request, report)
        except (RuntimeError, MemoryError) as error:
            if not ran_out_of_memory(error):
                raise
            log.exception("%s ran out of memory", request_class.__name__)
        # Outside of `except`: there the error still holds all that the job had in memory.
        raise DeviceError("There was not enough memory.", "Close other programs, choose a smaller extent, or another device.")

    return within_memory
