"""The feature map's panel."""

from __future__ import annotations

from qgis.core import QgsProject
from qgis.PyQt.QtWidgets import QSpinBox

from ...layers.results import add_features
from ...protocol.requests import EmbedScene
from ..outputs import output_path
from .job_panel import JobPanel


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
            scene=self.whole_scene(),
            output_path=output_path("features", ".tif"),
            picture_path=output_path("features_picture", ".tif"),
            encoder=self.options.encoder,
            components=self.components.value(),
            device=self.options.device,
        )
        return request, lambda written: add_features(QgsProject.instance(), written, self.tr("Features"), request.scene)
