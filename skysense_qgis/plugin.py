"""Builds and takes down what the plugin adds to QGIS."""

from __future__ import annotations

from qgis.core import QgsApplication

from .algorithms.provider import SkySenseProvider
from .client.client import Engine


class SkySensePlugin:
    """QGIS makes one; in qgis_process there is no interface and only `initProcessing` is called."""

    def __init__(self, iface) -> None:
        self.iface = iface
        self.engine: Engine | None = None
        self.provider: SkySenseProvider | None = None
        self.interface = None

    def initProcessing(self) -> None:
        """The algorithms; also called by initGui."""
        if self.provider is not None:
            return
        self.engine = Engine()
        self.provider = SkySenseProvider(self.engine)
        QgsApplication.processingRegistry().addProvider(self.provider)
        QgsApplication.instance().aboutToQuit.connect(self.engine.close)

    def initGui(self) -> None:
        from .gui.interface import Interface

        self.initProcessing()
        self.interface = Interface(self.iface, self.engine)

    def unload(self) -> None:
        """Undo everything, so that a reload finds QGIS as it was."""
        if self.interface is not None:
            self.interface.remove()
            self.interface = None
        if self.provider is not None:
            QgsApplication.processingRegistry().removeProvider(self.provider)
            self.provider = None
        if self.engine is not None:
            QgsApplication.instance().aboutToQuit.disconnect(self.engine.close)
            self.engine.close()
            self.engine.deleteLater()
            self.engine = None
