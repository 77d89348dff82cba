"""SkySense for QGIS."""

from __future__ import annotations


def classFactory(iface):  # noqa: N802 - the name is QGIS's
    """QGIS calls this once to get the plugin."""
    from .plugin import SkySensePlugin

    return SkySensePlugin(iface)
