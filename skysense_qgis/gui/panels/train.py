"""The panel of fine-tuning."""

from __future__ import annotations

from qgis.core import Qgis, QgsApplication, QgsProcessingUtils, QgsProject
from qgis.gui import QgsFieldComboBox, QgsMapLayerComboBox
from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import QComboBox, QLineEdit, QPushButton, QSpinBox

from ...layers.sources import LayerError
from ...layers.vector_input import SavingTask, VectorInput, take
from ...protocol.requests import TrainSegmentation
from ..outputs import free_name
from .job_panel import JobPanel


class TrainPanel(JobPanel):
    BUTTON = "Train"
    TUNE = (("head", "Head only (about a minute)"), ("last-blocks", "Last blocks too"), ("all", "Everything"))

    pretraining_wanted = pyqtSignal()

    _taken: VectorInput | None = None
    _saving: SavingTask | None = None
    _waiting: tuple[object, object] | None = None  # a request whose labels are being saved

    def build(self) -> None:
        self.note.setText(self.tr("Learns your classes from polygons over the layers in the table."))
        self.labels = QgsMapLayerComboBox()
        self.labels.setFilters(Qgis.LayerFilter.PolygonLayer)
        self.field = QgsFieldComboBox()
        self.labels.layerChanged.connect(self.field.setLayer)
        self.field.setLayer(self.labels.currentLayer())
        self.name = QLineEdit(self.tr("My classes"))
        self.tune = QComboBox()
        for key, label in self.TUNE:
            self.tune.addItem(self.tr(label), key)
        self.steps = QSpinBox()
        self.steps.setRange(10, 100_000)
        self.steps.setValue(300)
        self.form.addRow(self.tr("Polygons"), self.labels)
        self.form.addRow(self.tr("Class field"), self.field)
        self.form.addRow(self.tr("Name"), self.name)
        self.form.addRow(self.tr("Trained part"), self.tune)
        self.form.addRow(self.tr("Steps"), self.steps)
        self.pretraining_button = QPushButton()
        self.pretraining_button.setToolTip(self.tr("Teach an encoder on images without labels; that takes hours, not minutes"))
        self.pretraining_button.clicked.connect(self.pretraining_wanted)
        self.layout().insertWidget(self.layout().indexOf(self.run_button) + 1, self.pretraining_button)
        self.show_pretraining(0)

    def show_pretraining(self, at_work: int) -> None:
        """How many runs are at work."""
        text = self.tr("Pretrain an encoder …") if not at_work else self.tr("Pretraining … ({} at work)").format(at_work)
        self.pretraining_button.setText(text)

    def prepare(self):
        layer = self.labels.currentLayer()
        if layer is None or not self.field.currentField():
            raise LayerError("Choose a polygon layer and the field that holds the classes.")
        self._taken = take(layer)
        path, layer_name = self._taken.same or (QgsProcessingUtils.generateTempFilename("labels.gpkg"), None)
        name, model = free_name(self.name.text().strip() or self.tr("My classes"))
        request = TrainSegmentation(
            scene=self.whole_scene(),
            labels_path=path,
            labels_layer=layer_name,
            class_field=self.field.currentField(),
            model_path=str(model),
            name=name,
            encoder=self.options.encoder,
            tune=self.tune.currentData(),
            steps=self.steps.value(),
            device=self.options.device,
        )
        return request, None

    def send(self, request: TrainSegmentation, finish: object) -> None:
        """Labels that are no file are saved first, in the background."""
        if self._taken.same is not None:
            super().send(request, finish)
            return
        self._waiting = request, finish
        self.run_button.setEnabled(False)
        self._saving = SavingTask(self._taken, request.labels_path, QgsProject.instance().transformContext())
        self._saving.saved.connect(self._saved)
        self._saving.failed.connect(self._not_saved)
        QgsApplication.taskManager().addTask(self._saving)

    def _saved(self) -> None:
        self.refresh()
        self.requested.emit(*self._waiting)

    def _not_saved(self, reason: str) -> None:
        self.refresh()
        self.message.emit(reason, Qgis.MessageLevel.Warning)
