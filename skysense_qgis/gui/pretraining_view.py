"""One pretraining run: how far it is, its curves, and what can be done with it."""

from __future__ import annotations

from collections.abc import Iterable

from qgis.PyQt.QtCore import Qt, QTimer, QUrl, pyqtSignal
from qgis.PyQt.QtGui import QDesktopServices, QHideEvent, QShowEvent
from qgis.PyQt.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QTabWidget, QVBoxLayout, QWidget

from ..client.pretraining import PretrainingRun
from ..client.run_folder import WEIGHTS, LoggedStep, LogTail, RunFacts, read_facts
from ..protocol.messages import Series
from ..protocol.sensors import SENSORS
from .curves import Curves
from .pretraining_form import keep_box
from .pretraining_words import facts_of, figures_of, stage_of

READ_MS = 500
CATCH_UP_MS = 10  # between pieces of a long log


class PretrainingView(QWidget):
    """Shows a run; whoever shows this obeys the buttons."""

    stop_wanted = pyqtSignal(object)  # PretrainingRun
    resume_wanted = pyqtSignal(object)
    add_wanted = pyqtSignal(object)
    keep_chosen = pyqtSignal(object, bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.run: PretrainingRun | None = None
        self._tail: LogTail | None = None
        self._latest: LoggedStep | None = None
        self._facts: RunFacts | None = None
        self.facts = _label()
        self.stage = _label()
        bold = self.stage.font()
        bold.setBold(True)
        self.stage.setFont(bold)
        self.stage.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.figures = _label()
        self.losses = Curves(from_zero=False)
        self.parts = Curves(from_zero=False)
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.addTab(self.losses, self.tr("Loss"))
        self.tabs.addTab(self.parts, self.tr("Its parts"))
        self.health = Curves(is_share=lambda _: True)
        health = _label(self.tr("Spread of the features and use of the prototypes; near 0 they collapse"))
        self.keep = keep_box()
        self.keep.activated.connect(lambda _: self.keep_chosen.emit(self.run, self.keep.currentData()))
        self.stop_button = QPushButton(self.tr("Save and stop"))
        self.stop_button.clicked.connect(lambda: self.stop_wanted.emit(self.run))
        self.resume_button = QPushButton(self.tr("Resume"))
        self.resume_button.clicked.connect(lambda: self.resume_wanted.emit(self.run))
        self.add_button = QPushButton(self.tr("Add to my models"))
        self.add_button.setToolTip(self.tr("The encoder as it is saved now, for every job of the panel"))
        self.add_button.clicked.connect(lambda: self.add_wanted.emit(self.run))
        self.folder_button = QPushButton(self.tr("Open folder"))
        self.folder_button.clicked.connect(self._open_folder)
        choice = QHBoxLayout()
        choice.addWidget(QLabel(self.tr("When QGIS closes:")))
        choice.addWidget(self.keep)
        choice.addStretch(1)
        buttons = QHBoxLayout()
        for button in (self.stop_button, self.resume_button, self.add_button):
            button.hide()  # until the run is known
            buttons.addWidget(button)
        buttons.addStretch(1)
        buttons.addWidget(self.folder_button)
        layout = QVBoxLayout(self)
        layout.addWidget(self.stage)
        layout.addWidget(self.bar)
        layout.addWidget(self.facts)
        layout.addWidget(self.figures)
        layout.addWidget(self.tabs, 3)
        layout.addWidget(health)
        layout.addWidget(self.health, 2)
        layout.addLayout(choice)
        layout.addLayout(buttons)
        self._timer = QTimer(self)
        self._timer.setInterval(READ_MS)
        self._timer.timeout.connect(self._read)

        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(CATCH_UP_MS)
        self._soon.timeout.connect(self._read)

    def show_run(self, run: PretrainingRun) -> None:
        if run is not self.run:
            self.run, self._tail, self._latest, self._facts = run, LogTail(run.folder), None, None
            for curves in (self.losses, self.parts, self.health):
                curves.clear()
        self.keep.setCurrentIndex(self.keep.findData(run.keep))
        self._read()

    def showEvent(self, event: QShowEvent) -> None:
        self._timer.start()
        super().showEvent(event)

    def hideEvent(self, event: QHideEvent) -> None:
        self._timer.stop()
        super().hideEvent(event)

    def refresh(self) -> None:
        """The run's status changed."""
        run = self.run
        if run is None:
            return
        self._facts = self._facts or read_facts(run.folder)  # they do not change
        self.facts.setText(facts_of(run.name, self._facts) if self._facts else run.name)
        self.facts.setToolTip(str(run.folder))
        self.stage.setText(stage_of(run, self._latest.step if self._latest is not None else 0))
        self.bar.setVisible(run.status.working)
        self.bar.setValue(round(1000 * run.status.fraction))
        self.figures.setText(figures_of(self._latest) if self._latest is not None else "")
        self.figures.setVisible(bool(self.figures.text()))
        self.stop_button.setVisible(run.status.working)
        self.stop_button.setEnabled(not run.stopping)
        self.resume_button.setVisible(run.resumable)
        self.add_button.setVisible(not run.status.working and (run.folder / WEIGHTS).exists())

    # -- inside ------------------------------------------------------------------------------------------------------
    def _read(self) -> None:
        """What the log tells since the last look."""
        if self._tail is None:
            return
        steps = self._tail.read()
        if steps:
            self._latest = steps[-1]
            self.losses.add(tuple(self._loss_series(steps)))
            self.parts.add(tuple(Series(name, step.step, value) for step in steps for name, value in step.parts.items()))
            self.health.add(tuple(self._health_series(steps)))
        self.refresh()
        if self._tail.behind:
            self._soon.start()

    def _loss_series(self, steps: list[LoggedStep]) -> Iterable[Series]:
        """A curve for each set of sensors: sums over different ones cannot be compared."""
        for step in steps:
            if step.loss is not None:
                sensors = "+".join(name for name in step.parts if name in SENSORS)
                yield Series(self.tr("loss {}").format(sensors).strip(), step.step, step.loss)

    def _health_series(self, steps: list[LoggedStep]) -> Iterable[Series]:
        for step in steps:
            for name, value in step.feature_std.items():
                yield Series(self.tr("spread {}").format(name), step.step, value)
            if step.prototype_entropy is not None:
                yield Series(self.tr("prototypes"), step.step, step.prototype_entropy)

    def _open_folder(self) -> None:
        if self.run is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.run.folder)))


def _label(text: str = "") -> QLabel:
    """Wrapped; a long name without spaces must not widen the window."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setMinimumWidth(1)
    return label
