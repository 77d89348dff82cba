"""The panel of change detection."""

from __future__ import annotations

from qgis.core import Qgis, QgsProject, QgsRasterLayer
from qgis.PyQt.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QPushButton

from ...layers.results import add_change
from ...layers.styles import style_score
from ...protocol.requests import DetectChange
from ..outputs import output_path
from .job_panel import JobPanel


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
        self.threshold.setToolTip(self.tr("The score's layer shows at once what lies above it; run again to write the map"))
        self.threshold.valueChanged.connect(self._preview)
        self.automatic.toggled.connect(lambda on: self.threshold.setEnabled(not on))
        self._score_id = ""  # of the latest result
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

    def _preview(self, threshold: float) -> None:
        """The latest score with another threshold, as far as a style can show it."""
        layer = QgsProject.instance().mapLayer(self._score_id)
        if isinstance(layer, QgsRasterLayer):
            style_score(layer, threshold)
            layer.triggerRepaint()

    def prepare(self):
        dated = self.scene.dated()
        first, second = self.before.currentData(), self.after.currentData()
        before = [layer_id for day, layer_id, _ in dated if day == first]
        after = [layer_id for day, layer_id, _ in dated if day == second]
        area = self.options.area.extent()
        request = DetectChange(
            before=self.scene.scene_at(before, area),
            after=self.scene.scene_at(after, area),
            score_path=output_path("change_score", ".tif"),
            mask_path=output_path("change", ".tif"),
            polygons_path=output_path("change", ".gpkg"),
            method=self.method.currentData(),
            encoder=self.options.encoder,
            threshold=None if self.automatic.isChecked() else self.threshold.value(),
            minimum_area_m2=self.area.value(),
            device=self.options.device,
        )

        def finish(written) -> None:
            layers = add_change(QgsProject.instance(), written, before, after)
            self._score_id = layers[-1].id()
            self.threshold.setValue(written.threshold)
            for warning in written.warnings:
                self.message.emit(warning, Qgis.MessageLevel.Warning)

        return request, finish
