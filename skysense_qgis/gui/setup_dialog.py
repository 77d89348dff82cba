"""Setting the engine up: what will happen, progress, log, cancel."""

from __future__ import annotations

from qgis.PyQt.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ..client.environment import managed_folder
from ..client.installer import EngineInstaller
from ..protocol.messages import Failure


class SetupDialog(QDialog):
    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Set up the SkySense engine"))
        self.resize(560, 380)
        self._installer: EngineInstaller | None = None
        self.text = QLabel(
            self.tr(
                "The engine (PyTorch and others, about 5 GB) is downloaded from the Python package index into a folder "
                "of its own. QGIS itself is not changed.\n\n{}"
            ).format(managed_folder())
        )
        self.text.setWordWrap(True)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.log = QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setMaximumBlockCount(2000)
        self.start_button = QPushButton(self.tr("Set up"))
        self.start_button.setDefault(True)
        self.start_button.clicked.connect(self._start)
        self.close_button = QPushButton(self.tr("Close"))
        self.close_button.clicked.connect(self.reject)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(self.start_button)
        buttons.addWidget(self.close_button)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addWidget(self.bar)
        layout.addWidget(self.log, 1)
        layout.addLayout(buttons)

    def _start(self) -> None:
        self.start_button.setEnabled(False)
        self.close_button.setText(self.tr("Cancel"))
        self._installer = EngineInstaller(self)
        self._installer.progressed.connect(self._progress)
        self._installer.line.connect(self.log.appendPlainText)
        self._installer.finished.connect(self._finished)
        self._installer.start()

    def _progress(self, title: str, fraction: float) -> None:
        self.text.setText(title)
        self.bar.setValue(round(1000 * fraction))

    def _finished(self, failure: Failure | None) -> None:
        self._installer = None
        self.close_button.setText(self.tr("Close"))
        if failure is None:
            self.accept()
            return
        self.text.setText(f"{failure.sentence} {failure.remedy}")
        self.start_button.setEnabled(True)

    def reject(self) -> None:
        """Cancel what runs; close what does not."""
        if self._installer is not None:
            self._installer.cancel()
        else:
            super().reject()
