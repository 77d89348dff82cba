"""Progress of the job at work, at the foot of the dock."""

from __future__ import annotations

from qgis.PyQt.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from ..client.client import JobHandle
from ..protocol.messages import Progress
from .words import time_left


class JobsBar(QWidget):
    """Shows one job; hidden when there is none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._handle: JobHandle | None = None
        self.label = QLabel()
        self.label.setWordWrap(True)  # a long line must not widen the panel
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.cancel_button = QPushButton(self.tr("Cancel"))
        self.cancel_button.clicked.connect(self._cancel)
        row = QHBoxLayout()
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.addWidget(self.label)
        layout.addLayout(row)
        self.hide()

    @property
    def busy(self) -> bool:
        return self._handle is not None

    def watch(self, handle: JobHandle) -> None:
        self._handle = handle
        self.bar.setValue(0)
        self.label.setText(self.tr("Starting the engine …"))
        self.cancel_button.setEnabled(True)
        handle.progressed.connect(self._progress)
        handle.finished.connect(self._finished)
        self.show()

    def _progress(self, progress: Progress) -> None:
        self.bar.setValue(round(1000 * progress.fraction))
        parts = [progress.stage, progress.detail, time_left(progress.seconds_left)]
        self.label.setText(" · ".join(part for part in parts if part))

    def _cancel(self) -> None:
        if self._handle is not None:
            self.cancel_button.setEnabled(False)
            self.label.setText(self.tr("Stopping …"))
            self._handle.cancel()

    def _finished(self) -> None:
        self._handle = None
        self.hide()
