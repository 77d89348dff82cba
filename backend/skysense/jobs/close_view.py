"""Forget an open view."""

from __future__ import annotations

from skysense.jobs import views
from skysense.jobs.report import Report
from skysense.protocol.requests import CloseView, ViewClosed


def run(request: CloseView, report: Report) -> ViewClosed:
    views.close(request.view)
    return ViewClosed(view=request.view)
