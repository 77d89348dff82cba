"""What the panels of all long jobs have in common."""

from __future__ import annotations

from qgis.core import Qgis
from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import QFormLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from ...layers.sources import LayerError
from ...protocol.scene_source import SceneSource
from ..forms import align_labels
from ..job_options import JobOptions
from ..scene_panel import ScenePanel


class JobPanel(QWidget):
    """A form and a button. `requested` carries the request and what to do with its result."""

    BUTTON = ""
    ENCODER = True  # whether the user chooses one
    requested = pyqtSignal(object, object)
    message = pyqtSignal(str, object)

    def __init__(self, scene: ScenePanel, options: JobOptions, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.scene, self.options = scene, options
        self.form = QFormLayout()
        self.form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        self.note = QLabel()
        self.note.setWordWrap(True)
        self.run_button = QPushButton(self.tr(self.BUTTON))
        self.run_button.clicked.connect(self.run)
        layout = QVBoxLayout(self)
        layout.addWidget(self.note)
        layout.addLayout(self.form)
        layout.addWidget(self.run_button)
        layout.addStretch(1)
        self.build()
        scene.changed.connect(self.refresh)
        self.refresh()

    def build(self) -> None:
        """Fill the form."""

    def refresh(self) -> None:
        """The scene changed."""
        self.run_button.setEnabled(bool(self.scene.rows))

    def take_options(self) -> None:
        """Show the options here, above the button; all panels share them."""
        layout = self.layout()
        layout.insertWidget(layout.indexOf(self.run_button), self.options)
        self.options.show_encoder(self.ENCODER)
        align_labels(self.form, self.options.form)

    def whole_scene(self) -> SceneSource:
        """All layers of the table in the area that was chosen; raises LayerError with what to do."""
        return self.scene.scene(self.options.area.extent())

    def run(self) -> None:
        try:
            request, finish = self.prepare()
        except LayerError as error:
            self.message.emit(str(error), Qgis.MessageLevel.Warning)
            return
        self.send(request, finish)

    def send(self, request: object, finish: object) -> None:
        """Ask for the job, at once or when all that it reads is there."""
        self.requested.emit(request, finish)

    def prepare(self) -> tuple[object, object]:
        """The request, and what to do with its result; raises LayerError with what to do."""
        raise NotImplementedError
