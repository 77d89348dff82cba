"""What a pretraining run reads: the panel's layers, which become shards first, or folders of shards."""

from __future__ import annotations

from pathlib import Path

from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)


class PretrainingData(QWidget):
    """`use_layers` tells which of the two; `folders` are the shards that are there already."""

    changed = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.layers_button = QRadioButton(self.tr("Layers of the panel's table"))
        self.folders_button = QRadioButton(self.tr("Folders of shards"))
        self.layers_button.setChecked(True)
        self.layers_button.toggled.connect(self._show)
        self.layers_note = _wrapping()
        self.list = QListWidget()
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setMaximumHeight(84)
        self.list.itemSelectionChanged.connect(self._show)
        self.folders_note = _wrapping()
        self.folders_note.setText(
            self.tr("Shards are made of layers here, by the toolbox, or by the command “skysense shards”; add their folders.")
        )
        self.add_button = QPushButton(self.tr("Add folder …"))
        self.add_button.clicked.connect(self._choose)
        self.remove_button = QPushButton(self.tr("Remove"))
        self.remove_button.clicked.connect(self._remove)
        self.dialog: QFileDialog | None = None
        buttons = QHBoxLayout()
        buttons.addWidget(self.add_button)
        buttons.addWidget(self.remove_button)
        buttons.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 1, 0)  # the list's frame is drawn to the last pixel
        layout.addWidget(self.layers_button)
        layout.addWidget(self.layers_note)
        layout.addWidget(self.folders_button)
        layout.addWidget(self.folders_note)
        layout.addWidget(self.list)
        layout.addLayout(buttons)
        self._layers: list[str] = []
        self._show()

    @property
    def use_layers(self) -> bool:
        return self.layers_button.isChecked()

    @property
    def folders(self) -> tuple[str, ...]:
        return tuple(self.list.item(row).data(Qt.ItemDataRole.UserRole) for row in range(self.list.count()))

    @property
    def complete(self) -> bool:
        return bool(self._layers if self.use_layers else self.folders)

    def set_layers(self, names: list[str]) -> None:
        """What is in the panel's table."""
        self._layers = names
        self._show()

    def add(self, folder: str) -> None:
        if folder and folder not in self.folders:
            item = QListWidgetItem(Path(folder).name or folder)
            item.setData(Qt.ItemDataRole.UserRole, folder)
            item.setToolTip(folder)
            self.list.addItem(item)
        self._show()

    def _choose(self) -> None:
        self.dialog = QFileDialog(self, self.tr("Folder of shards"))
        self.dialog.setFileMode(QFileDialog.FileMode.Directory)
        self.dialog.fileSelected.connect(self.add)
        self.dialog.open()

    def _remove(self) -> None:
        for item in self.list.selectedItems():
            self.list.takeItem(self.list.row(item))
        self._show()

    def _show(self) -> None:
        if self._layers:
            shown = ", ".join(self._layers[:3]) + (" …" if len(self._layers) > 3 else "")
            self.layers_note.setText(self.tr("{} layers: {}. Inside of the panel's area they are cut into shards first.").format(len(self._layers), shown))
        else:
            self.layers_note.setText(self.tr("The table is empty: add the layers of one place in the panel."))
        self.layers_note.setToolTip("\n".join(self._layers))
        self.layers_note.setVisible(self.use_layers)
        for widget in (self.add_button, self.remove_button):
            widget.setVisible(not self.use_layers)
        self.list.setVisible(not self.use_layers and self.list.count() > 0)
        self.folders_note.setVisible(not self.use_layers and self.list.count() == 0)
        self.remove_button.setEnabled(bool(self.list.selectedItems()))
        self.changed.emit()


def _wrapping() -> QLabel:
    """A note under a choice; a long name without spaces must not widen the window."""
    label = QLabel()
    label.setWordWrap(True)
    label.setIndent(22)
    label.setMinimumWidth(1)
    return label
