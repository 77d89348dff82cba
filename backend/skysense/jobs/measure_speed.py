"""How fast an encoder is here, for its card."""

from __future__ import annotations

from skysense.jobs.encoders import choose_device, encoder_on, stoppable
from skysense.jobs.precision import mode_of
from skysense.jobs.report import Report
from skysense.jobs.speed import measure
from skysense.protocol.requests import MeasureSpeed, SpeedMeasured


def run(request: MeasureSpeed, report: Report) -> SpeedMeasured:
    """Load the encoder, unless it is, and let it run a moment.

    Raises:
        RequestError: no such encoder. ModelError: no weights. DeviceError: no such device. Cancelled.
    """
    report.progress(0.0, "Loading the model")
    device = choose_device(request.device)
    encoder = encoder_on(request.encoder, device, report)
    report.progress(0.5, "Measuring the speed")
    with stoppable(encoder, report):
        speed = measure(encoder, device)
    return SpeedMeasured(request.encoder, speed, str(device), str(mode_of(encoder)))
