"""The panels of the long jobs: a form each, a request out of it, its result into the project."""

from __future__ import annotations

from pathlib import Path

from qgis.core import Qgis, QgsProject
from qgis.gui import QgsFieldComboBox, QgsMapLayerComboBox
from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from ..layers.labels import labels_file
from ..layers.results import add_change, add_classes, add_features
from ..layers.sources import LayerError
from ..protocol.requests import ApplyModel, DetectChange, EmbedScene, ModelCard, TrainSegmentation
from ..settings import Settings
from .outputs import output_path
from .scene_panel import ScenePanel


class JobPanel(QWidget):
    """A form and a button. `requested` carries the request and what to do with its result."""

    BUTTON = ""
    requested = pyqtSignal(object, object)
    message = pyqtSignal(str, object)

    def __init__(self, scene: ScenePanel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.scene = scene
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

    def run(self) -> None:
        try:
            request, finish = self.prepare()
        except LayerError as error:
            self.message.emit(str(error), Qgis.MessageLevel.Warning)
            return
        self.requested.emit(request, finish)


class FeaturesPanel(JobPanel):
    BUTTON = "Make feature map"

    def build(self) -> None:
        self.note.setText(self.tr("One dense feature map of all layers in the table, fused."))
        self.components = QSpinBox()
        self.components.setRange(0, 1024)
        self.components.setValue(16)
        self.components.setSpecialValueText(self.tr("All features"))
        self.form.addRow(self.tr("Components"), self.components)

    def prepare(self):
        request = EmbedScene(
            scene=self.scene.scene(),
            output_path=output_path("features", ".tif"),
            picture_path=output_path("features_picture", ".tif"),
            encoder=Settings.load().encoder,
            components=self.components.value(),
            device=Settings.load().device,
        )
        return request, lambda written: add_features(QgsProject.instance(), written, self.tr("Features"))


class ChangePanel(JobPanel):
    BUTTON = "Detect change"
    METHODS = (
        ("auto", "Recommended for the sensor"),
        ("change-vector", "Change vector"),
        ("log-ratio", "Log-ratio (radar)"),
        ("deep-features", "Deep features"),
    )

    def build(self) -> None:
        self.before = QComboBox()
        self.after = QComboBox()
        for box in (self.before, self.after):
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(12)
        self.swap = QPushButton(self.tr("Swap dates"))
        self.swap.clicked.connect(self._swap)
        self.method = QComboBox()
        for key, label in self.METHODS:
            self.method.addItem(self.tr(label), key)
        self.automatic = QCheckBox(self.tr("Find the threshold automatically"))
        self.automatic.setChecked(True)
        self.threshold = QDoubleSpinBox()
        self.threshold.setDecimals(4)
        self.threshold.setRange(0.0, 1e6)
        self.threshold.setEnabled(False)
        self.automatic.toggled.connect(lambda on: self.threshold.setEnabled(not on))
        self.area = QDoubleSpinBox()
        self.area.setRange(0.0, 1e9)
        self.area.setSuffix(self.tr(" m²"))
        self.form.addRow(self.tr("Before"), self.before)
        self.form.addRow(self.tr("After"), self.after)
        self.form.addRow("", self.swap)
        self.form.addRow(self.tr("Method"), self.method)
        self.form.addRow("", self.automatic)
        self.form.addRow(self.tr("Threshold"), self.threshold)
        self.form.addRow(self.tr("Smallest area"), self.area)

    def refresh(self) -> None:
        dated = self.scene.dated()
        days = sorted({day for day, _, _ in dated})
        for box, chosen in ((self.before, self.before.currentData()), (self.after, self.after.currentData())):
            box.clear()
            for day in days:
                names = ", ".join(name for other, _, name in dated if other == day)
                box.addItem(f"{day}  {names}", day)
            if chosen in days:
                box.setCurrentIndex(box.findData(chosen))
        if len(days) > 1 and self.before.currentData() == self.after.currentData():
            self.before.setCurrentIndex(0)
            self.after.setCurrentIndex(len(days) - 1)
        enough = len(days) > 1
        self.note.setText(
            self.tr("What changed between two dates of the table.")
            if enough
            else self.tr("Add layers of two different dates to the table; give each its date there.")
        )
        for widget in (self.before, self.after, self.swap):
            widget.setEnabled(enough)
        self.run_button.setEnabled(enough)

    def _swap(self) -> None:
        before, after = self.before.currentIndex(), self.after.currentIndex()
        self.before.setCurrentIndex(after)
        self.after.setCurrentIndex(before)

    def prepare(self):
        dated = self.scene.dated()
        first, second = self.before.currentData(), self.after.currentData()
        before = [layer_id for day, layer_id, _ in dated if day == first]
        after = [layer_id for day, layer_id, _ in dated if day == second]
        request = DetectChange(
            before=self.scene.scene_at(before),
            after=self.scene.scene_at(after),
            score_path=output_path("change_score", ".tif"),
            mask_path=output_path("change", ".tif"),
            polygons_path=output_path("change", ".gpkg"),
            method=self.method.currentData(),
            encoder=Settings.load().encoder,
            threshold=None if self.automatic.isChecked() else self.threshold.value(),
            minimum_area_m2=self.area.value(),
            device=Settings.load().device,
        )

        def finish(written) -> None:
            add_change(QgsProject.instance(), written, before, after)
            self.threshold.setValue(written.threshold)
            for warning in written.warnings:
                self.message.emit(warning, Qgis.MessageLevel.Warning)

        return request, finish


class TrainPanel(JobPanel):
    BUTTON = "Train"
    TUNE = (("head", "Head only (about a minute)"), ("last-blocks", "Last blocks too"), ("all", "Everything"))

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

    def prepare(self):
        layer = self.labels.currentLayer()
        if layer is None or not self.field.currentField():
            raise LayerError("Choose a polygon layer and the field that holds the classes.")
        path, layer_name = labels_file(layer)
        folder = Path(Settings.load().models)
        folder.mkdir(parents=True, exist_ok=True)
        safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in self.name.text().strip()) or "model"
        request = TrainSegmentation(
            scene=self.scene.scene(),
            labels_path=path,
            labels_layer=layer_name,
            class_field=self.field.currentField(),
            model_path=str(folder / f"{safe}.safetensors"),
            name=self.name.text().strip() or safe,
            encoder=Settings.load().encoder,
            tune=self.tune.currentData(),
            steps=self.steps.value(),
            device=Settings.load().device,
        )
        return request, None


class ApplyPanel(JobPanel):
    BUTTON = "Apply model"

    def build(self) -> None:
        self.note.setText(self.tr("Classifies the layers in the table by one of your models."))
        self.model = QComboBox()
        self.card = QLabel()
        self.card.setWordWrap(True)
        self.model.currentIndexChanged.connect(self._show_card)
        self.form.addRow(self.tr("Model"), self.model)
        self.form.addRow("", self.card)
        self._cards: list[ModelCard] = []

    def set_models(self, cards: tuple[ModelCard, ...]) -> None:
        self._cards = [card for card in cards if card.kind == "segmentation"]
        chosen = self.model.currentData()
        self.model.clear()
        for card in self._cards:
            self.model.addItem(card.label, card.path)
        self.model.setCurrentIndex(max(self.model.findData(chosen), 0 if self._cards else -1))
        self._show_card()
        self.refresh()

    def _show_card(self) -> None:
        index = self.model.currentIndex()
        if not 0 <= index < len(self._cards):
            self.card.setText(self.tr("You have no models yet. Train one first."))
            return
        card = self._cards[index]
        lines = [self.tr("Classes: {}").format(", ".join(entry.name for entry in card.classes))]
        if card.mean_iou is not None:
            lines.append(self.tr("Mean IoU {:.2f} on held-out blocks").format(card.mean_iou))
        lines += [f"{entry.name}: {entry.iou:.2f}" for entry in card.accuracy if entry.iou is not None]
        self.card.setText("\n".join(lines))

    def refresh(self) -> None:
        self.run_button.setEnabled(bool(self.scene.rows) and self.model.currentIndex() >= 0)

    def prepare(self):
        request = ApplyModel(
            scene=self.scene.scene(),
            model_path=self.model.currentData(),
            output_path=output_path("classes", ".tif"),
            confidence_path=output_path("confidence", ".tif"),
            device=Settings.load().device,
        )
        name = self.model.currentText()
        return request, lambda written: add_classes(QgsProject.instance(), written, name)
