"""SkySense for QGIS."""

from __future__ import annotations


def classFactory(iface):
    """QGIS calls this once to get the plugin."""
    from .plugin import SkySensePlugin

    return SkySensePlugin(iface)
