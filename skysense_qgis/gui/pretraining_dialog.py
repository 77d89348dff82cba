"""Pretraining: a new run, and those that are known, with their curves."""

from __future__ import annotations

from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ..client.client import JobHandle
from ..client.pretraining import PretrainingRun, PretrainingRuns
from ..protocol.messages import Failure
from .jobs_bar import JobsBar
from .pretraining_form import PretrainingForm
from .pretraining_view import PretrainingView
from .pretraining_words import entry_of


class PretrainingDialog(QDialog):
    """Beside the map, not in front of it. Closing it leaves the runs going."""

    folder_chosen = pyqtSignal(str)  # of a run that is there already

    def __init__(self, runs: PretrainingRuns, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._runs = runs
        self.setWindowTitle(self.tr("Pretraining"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(640, 720)
        self.choice = QComboBox()
        self.choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.choice.setMinimumContentsLength(20)
        self.choice.currentIndexChanged.connect(self._show)
        self.open_button = QToolButton()
        self.open_button.setText("…")
        self.open_button.setToolTip(self.tr("Look at a run of another folder"))
        self.open_button.clicked.connect(self._open)
        self.forget_button = QToolButton()
        self.forget_button.setText("×")
        self.forget_button.setToolTip(self.tr("Take the run off this list; its folder stays"))
        self.forget_button.clicked.connect(self._forget)
        self.files: QFileDialog | None = None
        self.form = PretrainingForm()
        self.view = PretrainingView()
        self.pages = QStackedWidget()
        self.pages.addWidget(_scrolled(self.form))
        self.pages.addWidget(_scrolled(self.view))
        self.jobs = JobsBar()
        self.refusal = QLabel()
        self.refusal.setWordWrap(True)
        self.refusal.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.refusal.hide()
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.close)
        top = QHBoxLayout()
        top.addWidget(QLabel(self.tr("Run")))
        top.addWidget(self.choice, 1)
        top.addWidget(self.open_button)
        top.addWidget(self.forget_button)
        layout = QVBoxLayout(self)
        layout.addLayout(top)
        layout.addWidget(self.pages, 1)
        layout.addWidget(self.jobs)
        layout.addWidget(self.refusal)
        layout.addWidget(buttons)
        runs.listed.connect(self._list)
        runs.changed.connect(self._label)
        self._list()
        if runs.runs:
            self.choose(runs.at_work[0] if runs.at_work else runs.runs[0])

    def choose(self, run: PretrainingRun | None) -> None:
        """Show a run; None: the form of a new one."""
        self.choice.setCurrentIndex(0 if run is None else 1 + self._runs.runs.index(run))

    def watch(self, handle: JobHandle) -> None:
        """Show how far shards are made, or the encoder is taken up."""
        self.refuse("")
        self.jobs.watch(handle)
        self.form.setEnabled(False)
        self.view.add_button.setEnabled(False)
        handle.failed.connect(self._failed)
        handle.finished.connect(self._free)

    def refuse(self, text: str) -> None:
        """Say why something is not done; nothing hides what was said."""
        self.refusal.setText(text)
        self.refusal.setVisible(bool(text))

    # -- inside ------------------------------------------------------------------------------------------------------
    def _list(self) -> None:
        chosen = self._current()
        self.choice.blockSignals(True)
        self.choice.clear()
        self.choice.addItem(self.tr("New run …"), None)
        for run in self._runs.runs:
            self.choice.addItem(entry_of(run), run)
            self.choice.setItemData(self.choice.count() - 1, str(run.folder), Qt.ItemDataRole.ToolTipRole)
        self.choice.blockSignals(False)
        self.choose(chosen if chosen in self._runs.runs else None)
        self._show()

    def _label(self) -> None:
        for row, run in enumerate(self._runs.runs, 1):
            self.choice.setItemText(row, entry_of(run))
        self.view.refresh()
        self._enable()

    def _current(self) -> PretrainingRun | None:
        return self.choice.currentData()

    def _show(self, *_: object) -> None:
        run = self._current()
        self.pages.setCurrentIndex(0 if run is None else 1)
        if run is not None:
            self.view.show_run(run)
        self._enable()

    def _enable(self) -> None:
        run = self._current()
        self.forget_button.setEnabled(run is not None and not run.status.working)

    def _open(self) -> None:
        self.files = QFileDialog(self, self.tr("Folder of a run"))
        self.files.setFileMode(QFileDialog.FileMode.Directory)
        self.files.fileSelected.connect(self.folder_chosen)
        self.files.open()

    def _forget(self) -> None:
        run = self._current()
        if run is not None:
            self._runs.forget(run)

    def _failed(self, failure: Failure) -> None:
        if failure.code != "cancelled":
            self.refuse(f"{failure.sentence} {failure.remedy}")

    def _free(self) -> None:
        self.form.setEnabled(True)
        self.view.add_button.setEnabled(True)


def _scrolled(widget: QWidget) -> QScrollArea:
    """In a small window it is scrolled down, never sideways."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(widget)
    area.setMinimumWidth(widget.minimumSizeHint().width() + area.verticalScrollBar().sizeHint().width())
    return area
