"""What is said of a pretraining run."""

from __future__ import annotations

from qgis.PyQt.QtCore import QCoreApplication

from ..client.pretraining import PretrainingRun
from ..client.run_folder import LoggedStep, RunFacts
from .words import time_left


def _tr(text: str) -> str:
    return QCoreApplication.translate("SkySense", text)


def entry_of(run: PretrainingRun) -> str:
    """In a list: "run-1 (34 %)"."""
    words = {
        "new": _tr("not begun"),
        "starting": _tr("starting"),
        "training": _tr("{:.0f} %").format(100 * run.status.fraction),
        "saving": _tr("saving"),
        "stopped": _tr("stopped"),
        "finished": _tr("finished"),
        "failed": _tr("failed"),
        "lost": _tr("interrupted"),
    }
    return f"{run.name} ({words.get(run.status.state, run.status.state)})"


def stage_of(run: PretrainingRun, logged: int = 0) -> str:
    """One or two sentences; `logged` is the latest step of the log, for states that name none."""
    status = run.status
    step = status.step or logged
    if run.stopping:
        return _tr("Stopping; the state is saved …")
    if status.state == "starting":
        return _tr("The engine is starting …")
    if status.state == "saving":
        return _tr("Saving …")
    if status.state == "training":
        parts = [_tr("Step {:,} of {:,}").format(step, status.steps), time_left(status.seconds_left), status.device]
        return " · ".join(part for part in parts if part)
    if status.state == "finished":
        return _tr("Finished after {:,} steps. Add the encoder to your models to use it in every job.").format(step)
    if status.state == "stopped" and step:
        return _tr("Stopped at step {:,} and saved. Resume goes on from there.").format(step)
    if status.state == "new":
        return _tr("This run has not begun.")
    return f"{status.sentence} {status.remedy}".strip()


def facts_of(name: str, facts: RunFacts) -> str:
    start = _tr("from given weights") if facts.start else _tr("from random weights")
    return _tr("{}: {}, {}, {:,} steps of {} samples").format(name, facts.preset, start, facts.steps, facts.batch)


def figures_of(step: LoggedStep) -> str:
    """Speed, and what it is spent on."""
    parts = []
    if step.samples_per_second is not None:
        parts.append(_tr("{:.3g} samples a second").format(step.samples_per_second))
    if step.data_wait is not None:
        parts.append(_tr("{:.0f} % waiting for data").format(100 * step.data_wait))
    if step.flops_share is not None:
        parts.append(_tr("{:.0f} % of the device's peak").format(100 * step.flops_share))
    return " · ".join(parts)
