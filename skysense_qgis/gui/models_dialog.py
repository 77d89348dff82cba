"""All models with their cards: the encoders, and the user's own, which are added and removed here."""

from __future__ import annotations

from pathlib import Path

from qgis.PyQt.QtCore import Qt, QUrl, pyqtSignal
from qgis.PyQt.QtGui import QDesktopServices
from qgis.PyQt.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QMessageBox,
    QPushButton,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from ..client.client import JobHandle
from ..protocol.messages import Failure
from ..protocol.requests import ModelCard, ModelConverted, SpeedMeasured
from ..settings import Settings
from .card_view import CardView
from .jobs_bar import JobsBar


class ModelsDialog(QDialog):
    """Shows what it is given; `changed` asks for a new list, `added` to take files up as a model, `speed_wanted` to
    measure an encoder."""

    changed = pyqtSignal()
    added = pyqtSignal(list)  # paths of one model's files
    speed_wanted = pyqtSignal(str)  # key of an encoder

    def __init__(self, cards: tuple[ModelCard, ...], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Models"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(760, 480)
        self.list = QListWidget()
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setMinimumWidth(240)
        self.list.currentRowChanged.connect(self._show)
        self.card = CardView()
        split = QSplitter()
        split.addWidget(self.list)
        split.addWidget(self.card)
        split.setStretchFactor(1, 1)
        split.setSizes([240, 520])
        split.setChildrenCollapsible(False)
        self.add_button = QPushButton(self.tr("Add model …"))
        self.add_button.setToolTip(
            self.tr("A released SkySense or SkySense++ checkpoint, all the files of one together, or a model of this plugin")
        )
        self.add_button.clicked.connect(self._choose)
        self.files: QFileDialog | None = None
        self.jobs = JobsBar()
        self.refusal = QLabel()  # of the file that was to be added
        self.refusal.setWordWrap(True)
        self.refusal.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.refusal.hide()
        self.speed_button = QPushButton(self.tr("Measure speed"))
        self.speed_button.setToolTip(self.tr("How fast this encoder is on this machine, on the device of the panel"))
        self.speed_button.clicked.connect(lambda: self.speed_wanted.emit(self._current().key))
        self.remove_button = QPushButton(self.tr("Remove …"))
        self.remove_button.clicked.connect(self._ask)
        self.folder_button = QPushButton(self.tr("Open folder"))
        self.folder_button.setToolTip(self.tr("Where your own models lie; a model that is put there is listed too"))
        self.folder_button.clicked.connect(self._open_folder)
        self.question: QMessageBox | None = None
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.addButton(self.add_button, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.addButton(self.speed_button, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.addButton(self.remove_button, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.addButton(self.folder_button, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.rejected.connect(self.close)
        layout = QVBoxLayout(self)
        layout.addWidget(split, 1)
        layout.addWidget(self.jobs)
        layout.addWidget(self.refusal)
        layout.addWidget(buttons)
        self._cards: tuple[ModelCard, ...] = ()
        self._wanted = ""
        self._speeds: dict[str, SpeedMeasured] = {}  # by key
        self.set_models(cards)

    def set_models(self, cards: tuple[ModelCard, ...]) -> None:
        """Show these; the one that was added last, or that was looked at, stays in sight."""
        chosen = self._wanted or (self._current().key if self._current() else None)
        self._wanted = ""
        self._cards = cards
        self.list.blockSignals(True)
        self.list.clear()
        for card in cards:
            item = QListWidgetItem(card.label)
            item.setToolTip(card.path or "")
            if card.kind == "encoder":
                item.setText(self.tr("{} (encoder)").format(card.label))
            elif card.kind == "damaged":
                item.setText(self.tr("{} (cannot be used)").format(card.label))
            self.list.addItem(item)
        self.list.blockSignals(False)
        rows = [row for row, card in enumerate(cards) if card.key == chosen]
        self.list.setCurrentRow(rows[0] if rows else 0 if cards else -1)
        self._show(self.list.currentRow())

    def _current(self) -> ModelCard | None:
        row = self.list.currentRow()
        return self._cards[row] if 0 <= row < len(self._cards) else None

    def _show(self, _: int) -> None:
        card = self._current()
        self.remove_button.setEnabled(card is not None and card.key == card.path)
        self.speed_button.setEnabled(card is not None and card.kind == "encoder" and not self.jobs.busy)
        if card is None:
            self.card.setPlainText(self.tr("There are no models."))
        else:
            self.card.show_card(card, self._speeds.get(card.key))

    # -- adding and measuring ----------------------------------------------------------------------------------------
    def watch(self, handle: JobHandle) -> None:
        """Show how far the files are checked, or the encoder is loaded; the card once that is done."""
        self.refusal.hide()
        self.add_button.setEnabled(False)
        self.jobs.watch(handle)
        self._show(self.list.currentRow())
        handle.done.connect(self._answered)
        handle.failed.connect(self._refused)
        handle.finished.connect(self._free)

    def _free(self) -> None:
        self.add_button.setEnabled(True)
        self._show(self.list.currentRow())

    def _choose(self) -> None:
        self.files = QFileDialog(self, self.tr("Add model"))
        self.files.setFileMode(QFileDialog.FileMode.ExistingFiles)
        self.files.setNameFilters(
            [self.tr("Checkpoints") + " (*.pth *.pt *.ckpt *.bin *.safetensors)", self.tr("All files") + " (*)"]
        )
        self.files.filesSelected.connect(lambda paths: self.added.emit(list(paths)))
        self.files.open()

    def _answered(self, result: ModelConverted | SpeedMeasured) -> None:
        if isinstance(result, SpeedMeasured):
            self._speeds[result.encoder] = result
        else:
            self._wanted = result.card.key
            self.changed.emit()

    def _refused(self, failure: Failure) -> None:
        if failure.code != "cancelled":
            self.refusal.setText(f"{failure.sentence} {failure.remedy}")
            self.refusal.show()

    # -- removing ----------------------------------------------------------------------------------------------------
    def _ask(self) -> None:
        card = self._current()
        if card is None:
            return
        self.question = QMessageBox(
            QMessageBox.Icon.Question,
            self.windowTitle(),
            self.tr("Remove {}? Its file is deleted.\n\n{}").format(card.label, card.path),
            QMessageBox.StandardButton.Cancel,
            self,
        )
        remove = self.question.addButton(self.tr("Remove"), QMessageBox.ButtonRole.DestructiveRole)
        self.question.setDefaultButton(QMessageBox.StandardButton.Cancel)
        remove.clicked.connect(lambda: self._remove(card))
        self.question.open()

    def _remove(self, card: ModelCard) -> None:
        try:
            Path(card.path or card.key).unlink(missing_ok=True)
        except OSError as error:
            QMessageBox.warning(self, self.windowTitle(), self.tr("It cannot be removed: {}.").format(error.strerror))
        self.changed.emit()

    def _open_folder(self) -> None:
        folder = Path(Settings.load().models)
        folder.mkdir(parents=True, exist_ok=True)
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))
