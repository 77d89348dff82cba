"""What the plugin adds to QGIS's window."""

from __future__ import annotations

from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtGui import QAction, QIcon

from ..client.client import Engine
from ..paths import RESOURCES
from .dock import SkySenseDock
from .settings_page import SettingsFactory


class Interface:
    """Dock, action and settings page; `remove` takes all of it away."""

    def __init__(self, iface, engine: Engine) -> None:
        self._iface = iface
        self.dock = SkySenseDock(engine, iface.mapCanvas(), iface.messageBar(), iface.mainWindow())
        iface.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, self.dock)
        self.action = QAction(QIcon(str(RESOURCES / "icons" / "skysense.svg")), "SkySense", iface.mainWindow())
        self.action.setCheckable(True)
        self.action.setChecked(True)
        self.dock.setToggleVisibilityAction(self.action)
        iface.addToolBarIcon(self.action)
        iface.rasterMenu().addAction(self.action)  # QGIS keeps a plugin's own submenu for ever, also when it is empty
        self.pretraining = QAction(self.action.icon(), self.dock.tr("SkySense pretraining …"), iface.mainWindow())
        self.pretraining.triggered.connect(self.dock.pretraining.open)
        iface.rasterMenu().addAction(self.pretraining)
        self.settings = SettingsFactory(engine.restart)
        iface.registerOptionsWidgetFactory(self.settings)

    def remove(self) -> None:
        self._iface.unregisterOptionsWidgetFactory(self.settings)
        for action in (self.action, self.pretraining):
            self._iface.rasterMenu().removeAction(action)
        self._iface.removeToolBarIcon(self.action)
        self.dock.remove()
        self._iface.removeDockWidget(self.dock)
        self.dock.deleteLater()
        self.action.deleteLater()
        self.pretraining.deleteLater()
