"""The panel that applies a model."""

from __future__ import annotations

from qgis.core import QgsProject
from qgis.PyQt.QtWidgets import QComboBox, QLabel

from ...layers.results import add_classes
from ...protocol.requests import ApplyModel, ModelCard
from ..outputs import output_path
from .job_panel import JobPanel


class ApplyPanel(JobPanel):
    BUTTON = "Apply model"
    ENCODER = False  # the model has its own

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
            scene=self.whole_scene(),
            model_path=self.model.currentData(),
            output_path=output_path("classes", ".tif"),
            confidence_path=output_path("confidence", ".tif"),
            device=self.options.device,
        )
        name = self.model.currentText()
        return request, lambda written: add_classes(QgsProject.instance(), written, name, request.scene)
