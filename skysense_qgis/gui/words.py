"""Times and sizes in words."""

from __future__ import annotations

from qgis.PyQt.QtCore import QCoreApplication


def _tr(text: str) -> str:
    return QCoreApplication.translate("SkySense", text)


def time_left(seconds: float | None) -> str:
    """"40 s left"; nothing where nobody knows."""
    return "" if seconds is None else _tr("{} left").format(short(seconds))


def short(seconds: float) -> str:
    if seconds < 90:
        return _tr("{} s").format(max(1, round(seconds)))
    return _tr("{} min").format(round(seconds / 60)) if seconds < 5400 else _tr("{:.1f} h").format(seconds / 3600)


def duration(seconds: float) -> str:
    """"about 3 minutes"."""
    if seconds < 90:
        return _tr("about {} seconds").format(max(1, round(seconds)))
    if seconds < 5400:
        return _tr("about {} minutes").format(round(seconds / 60))
    return _tr("about {:.1f} hours").format(seconds / 3600)


def size(count: int) -> str:
    """"1.2 GB", "35 MB"."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"
