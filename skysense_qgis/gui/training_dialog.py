"""A training run: live curves, device, memory and time left while it works; the model's card when it is done."""

from __future__ import annotations

from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtGui import QCloseEvent
from qgis.PyQt.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from ..client.client import JobHandle
from ..protocol.messages import Failure, Progress
from ..protocol.requests import ModelTrained, TrainSegmentation
from .card_view import CardView
from .curves import Curves
from .words import time_left


class TrainingDialog(QDialog):
    """Beside the map, not in front of it. Closing it leaves the run going; the panel's bar still shows it."""

    def __init__(self, request: TrainSegmentation, handle: JobHandle, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._handle: JobHandle | None = handle
        self.setWindowTitle(self.tr("Training {}").format(request.name))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(560, 460)
        self.stage = QLabel(self.tr("Starting the engine …"))
        self.stage.setWordWrap(True)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.curves = Curves()
        self.card = CardView()
        self.pages = QStackedWidget()
        self.pages.addWidget(self.curves)
        self.pages.addWidget(self.card)
        self.curves_button = QPushButton(self.tr("Curves"))
        self.curves_button.setCheckable(True)
        self.curves_button.toggled.connect(lambda on: self.pages.setCurrentWidget(self.curves if on else self.card))
        self.curves_button.hide()
        self.stop_button = QPushButton(self.tr("Stop and keep the best"))
        self.stop_button.clicked.connect(self._stop)
        self.close_button = QPushButton(self.tr("Hide"))
        self.close_button.clicked.connect(self.close)
        buttons = QHBoxLayout()
        buttons.addWidget(self.curves_button)
        buttons.addStretch(1)
        buttons.addWidget(self.stop_button)
        buttons.addWidget(self.close_button)
        layout = QVBoxLayout(self)
        layout.addWidget(self.stage)
        layout.addWidget(self.bar)
        layout.addWidget(self.pages, 1)
        layout.addLayout(buttons)
        handle.progressed.connect(self._progress)
        handle.done.connect(self._done)
        handle.failed.connect(self._failed)

    def _progress(self, progress: Progress) -> None:
        self.curves.add(progress.points)
        self.bar.setValue(round(1000 * progress.fraction))
        parts = [progress.stage, progress.detail, time_left(progress.seconds_left)]
        if self.stop_button.isEnabled():
            self.stage.setText(" · ".join(part for part in parts if part))

    def _stop(self) -> None:
        if self._handle is not None:
            self.stop_button.setEnabled(False)
            self.stage.setText(self.tr("Stopping; the best model so far is kept …"))
            self._handle.cancel()

    def _done(self, result: ModelTrained) -> None:
        kept = self.tr("The model of step {} of {} is kept.").format(result.best_step, result.steps)
        if result.stopped == "cancelled":
            kept = self.tr("Stopped.") + " " + kept
        elif result.stopped == "diverged":
            kept = self.tr("The loss was no number any more: try a smaller learning rate.") + " " + kept
        self._over(kept)
        self.card.show_card(result.card)
        self.pages.setCurrentWidget(self.card)
        self.curves_button.show()

    def _failed(self, failure: Failure) -> None:
        cancelled = failure.code == "cancelled"
        text = self.tr("Stopped before there was a model to keep.") if cancelled else f"{failure.sentence} {failure.remedy}"
        self._over(text)

    def _over(self, text: str) -> None:
        self._handle = None
        self.stage.setText(text)
        self.bar.hide()
        self.stop_button.hide()
        self.close_button.setText(self.tr("Close"))

    def closeEvent(self, event: QCloseEvent) -> None:
        if self._handle is not None:  # it outlives this window
            self._handle.progressed.disconnect(self._progress)
            self._handle.done.disconnect(self._done)
            self._handle.failed.disconnect(self._failed)
        super().closeEvent(event)
