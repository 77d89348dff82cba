"""The report to copy into a message to the developers."""

from __future__ import annotations

import platform

from qgis.core import Qgis
from qgis.PyQt.QtCore import QT_VERSION_STR, Qt
from qgis.PyQt.QtWidgets import (
    QApplication,
    QDialog,
    QDialogButtonBox,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ..client.client import Engine
from ..paths import version
from ..protocol.messages import Failure
from ..protocol.requests import Diagnose, Diagnosis
from ..settings import Settings


class DiagnosticsDialog(QDialog):
    def __init__(self, engine: Engine, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("SkySense diagnostics"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(640, 480)
        self._head = [
            f"SkySense: {version()}",
            f"QGIS: {Qgis.version()}",
            f"Qt: {QT_VERSION_STR}",
            f"Python of QGIS: {platform.python_version()}",
            f"System: {platform.platform()}",
        ]
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        copy = QPushButton(self.tr("Copy"))
        copy.clicked.connect(lambda: QApplication.clipboard().setText(self.text.toPlainText()))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.addButton(copy, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addWidget(buttons)
        self._show([engine.reason or self.tr("Asking the engine …")])
        if not engine.reason:
            handle = engine.submit(Diagnose(Settings.load().models))
            handle.done.connect(self._answered)
            handle.failed.connect(self._failed)

    def _answered(self, diagnosis: Diagnosis) -> None:
        self._show(list(diagnosis.lines))

    def _failed(self, failure: Failure) -> None:
        self._show([f"{failure.code}: {failure.sentence}", failure.log])

    def _show(self, lines: list[str]) -> None:
        self.text.setPlainText("\n".join([*self._head, "", *lines]))
