"""The SkySense panel."""

from __future__ import annotations

from pathlib import Path

from qgis.core import Qgis, QgsMessageLog
from qgis.gui import QgsDockWidget, QgsMapCanvas, QgsMessageBar
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtWidgets import (
    QDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from ..client.client import Engine, JobHandle
from ..layers.sources import LayerError
from ..protocol.messages import Failure
from ..protocol.requests import (
    ConvertModel,
    ExampleFound,
    ListModels,
    MeasureSpeed,
    ModelCard,
    ModelConverted,
    ModelList,
    ModelTrained,
    ShardsMade,
    SpeedMeasured,
    TrainSegmentation,
)
from ..settings import Settings
from .diagnostics import DiagnosticsDialog
from .job_options import JobOptions
from .job_runner import JobRunner
from .jobs_bar import JobsBar
from .models_dialog import ModelsDialog
from .outputs import are_temporary, free_name
from .panels.apply import ApplyPanel
from .panels.change import ChangePanel
from .panels.features import FeaturesPanel
from .panels.job_panel import JobPanel
from .panels.train import TrainPanel
from .pretraining import Pretraining
from .scene_panel import ScenePanel
from .segment_panel import SegmentPanel
from .setup_dialog import SetupDialog
from .training_dialog import TrainingDialog


class SkySenseDock(QgsDockWidget):
    def __init__(self, engine: Engine, canvas: QgsMapCanvas, message_bar: QgsMessageBar, parent: QWidget | None = None) -> None:
        super().__init__("SkySense", parent)
        self.setObjectName("SkySenseDock")
        self._engine, self._messages = engine, message_bar
        self.scene = ScenePanel(engine, canvas)
        self.segment = SegmentPanel(engine, canvas)
        self.options = JobOptions(engine, canvas)
        self.features = FeaturesPanel(self.scene, self.options)
        self.change = ChangePanel(self.scene, self.options)
        self.train = TrainPanel(self.scene, self.options)
        self.apply = ApplyPanel(self.scene, self.options)
        self.training: TrainingDialog | None = None
        self.models: ModelsDialog | None = None
        self.cards: tuple[ModelCard, ...] = ()
        self.options.models_wanted.connect(self._show_models)
        self.jobs = JobsBar()
        self.runner = JobRunner(engine, self.jobs, self.scene.drawings, self)
        self.runner.began.connect(self._began)
        self.runner.busy_changed.connect(lambda busy: self._enable(not busy))
        self.runner.done.connect(self._done)
        self.runner.failed.connect(self.show_failure)
        self.pretraining = Pretraining(self.scene, self.options, self.runner, self)
        self.pretraining.at_work_changed.connect(self.train.show_pretraining)
        self.train.pretraining_wanted.connect(self.pretraining.open)
        self._build()
        for panel in (self.scene, self.segment, self.runner, self.pretraining, *self.job_panels):
            panel.message.connect(self.say)
        for panel in (self.scene, self.segment):
            panel.failed.connect(self.show_failure)
        for panel in (self.segment, *self.job_panels):
            panel.requested.connect(self.runner.run)
        engine.state_changed.connect(self._state)
        self._state("")
        self._list_models()
        self.pretraining.tell_found()

    @property
    def job_panels(self) -> tuple[JobPanel, ...]:
        return self.features, self.change, self.train, self.apply

    def _build(self) -> None:
        self.banner = QFrame()
        self.banner.setFrameShape(QFrame.Shape.StyledPanel)
        self.banner_text = QLabel()
        self.banner_text.setWordWrap(True)
        self.setup_button = QPushButton(self.tr("Set up engine …"))
        self.setup_button.clicked.connect(self._set_up)
        inside = QVBoxLayout(self.banner)
        inside.addWidget(self.banner_text)
        inside.addWidget(self.setup_button)

        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.setUsesScrollButtons(False)  # all five are always in sight
        for panel, label in (
            (self.segment, self.tr("Segment")),
            (self.change, self.tr("Change")),
            (self.features, self.tr("Features")),
            (self.train, self.tr("Train")),
            (self.apply, self.tr("Apply")),
        ):
            self.tabs.addTab(panel, label)
        self.tabs.currentChanged.connect(self._show_options)
        self.features.take_options()
        self.state = QLabel()
        self.diagnostics_button = QPushButton(self.tr("Diagnostics …"))
        self.diagnostics_button.setFlat(True)
        self.diagnostics_button.clicked.connect(self._diagnose)
        foot = QHBoxLayout()
        foot.addWidget(self.state, 1)
        foot.addWidget(self.diagnostics_button)

        content = QWidget()
        layout = QVBoxLayout(content)
        layout.addWidget(self.banner)
        layout.addWidget(self.scene)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(self.jobs)
        layout.addLayout(foot)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(content)
        # Wide enough for its content and the scroll bar: a panel is scrolled down, never sideways.
        needed = max(content.minimumSizeHint().width(), self.tabs.tabBar().sizeHint().width() + 24)
        area.setMinimumWidth(needed + area.verticalScrollBar().sizeHint().width())
        self.setWidget(area)

    def _show_options(self, _: int) -> None:
        """One set of options for all jobs: it is wherever the user is."""
        panel = self.tabs.currentWidget()
        if isinstance(panel, JobPanel):
            panel.take_options()

    # -- jobs --------------------------------------------------------------------------------------------------------
    def _began(self, request: object, handle: JobHandle) -> None:
        if isinstance(request, TrainSegmentation):
            self.training = TrainingDialog(request, handle, self)
            self.training.finished.connect(self._forget_training)
            self.training.show()
        elif isinstance(request, ConvertModel | MeasureSpeed) and self.models is not None:
            self.models.watch(handle)
        self.pretraining.began(request, handle)

    def _forget_training(self, _: int) -> None:
        self.training = None

    def _done(self, result: object) -> None:
        if isinstance(result, ModelTrained):
            text = self.tr("Trained {}; it is in the Apply tab.").format(result.card.label)
            if result.card.mean_iou is not None:
                text += " " + self.tr("Mean IoU {:.2f} on held-out blocks.").format(result.card.mean_iou)
            self.say(text, Qgis.MessageLevel.Success)
            self._list_models()
            return
        if isinstance(result, ModelConverted):
            self.say(self.tr("Added {}.").format(result.card.label), Qgis.MessageLevel.Success)
            self._list_models()
            return
        if isinstance(result, SpeedMeasured | ShardsMade):
            return  # the windows that asked for it show it
        done = self.tr("Done.")
        if isinstance(result, ExampleFound):
            done = self.tr("{} {} areas.").format(result.procedure, result.polygons)
        if are_temporary():
            done += " " + self.tr("The files are temporary: save the layers, or set an output folder in the settings.")
        self.say(done, Qgis.MessageLevel.Success)

    def _enable(self, on: bool) -> None:
        self.segment.allow_more(on)
        for panel in self.job_panels:
            panel.run_button.setEnabled(on)
            if on:
                panel.refresh()

    def _list_models(self) -> None:
        if not self._engine.reason:
            handle = self._engine.submit(ListModels(Settings.load().models))
            handle.done.connect(self._listed)
            handle.failed.connect(self.show_failure)

    def _listed(self, listed: ModelList) -> None:
        self.cards = listed.models
        if self.models is not None:
            self.models.set_models(listed.models)
        self.options.set_models(listed.models)
        self.apply.set_models(listed.models)

    def _show_models(self) -> None:
        if self.models is None:
            self.models = ModelsDialog(self.cards, self)
            self.models.changed.connect(self._list_models)
            self.models.added.connect(self._add_model)
            self.models.speed_wanted.connect(lambda key: self.runner.run(MeasureSpeed(key, self.options.device), None))
            self.models.finished.connect(self._forget_models)
        self.models.show()
        self.models.raise_()

    def _add_model(self, paths: list[str]) -> None:
        try:
            _, target = free_name(Path(paths[0]).stem)
        except LayerError as error:
            self.say(str(error), Qgis.MessageLevel.Warning)
            return
        self.runner.run(ConvertModel(tuple(paths), str(target)), None)

    def _forget_models(self, _: int) -> None:
        self.models = None

    # -- words -------------------------------------------------------------------------------------------------------
    def say(self, text: str, level: Qgis.MessageLevel) -> None:
        self._messages.pushMessage("SkySense", text, level, 0 if level == Qgis.MessageLevel.Critical else 8)

    def show_failure(self, failure: Failure) -> None:
        """The sentence and the remedy in the bar, the rest in the log."""
        if failure.code == "cancelled":
            self.say(self.tr("Stopped."), Qgis.MessageLevel.Info)
            return
        if failure.log:
            QgsMessageLog.logMessage(failure.log, "SkySense", Qgis.MessageLevel.Info)
        self.say(f"{failure.sentence} {failure.remedy}".strip(), Qgis.MessageLevel.Warning)

    def _state(self, state: str) -> None:
        reason = self._engine.reason
        self.banner.setVisible(bool(reason))
        self.banner_text.setText(reason)
        for widget in (self.scene, self.tabs):
            widget.setEnabled(not reason)
        words = {
            "starting": self.tr("Engine is starting …"),
            "ready": self.tr("Engine ready"),
            "stopped": self.tr("Engine stopped"),
        }
        self.state.setText(words.get(state, ""))

    def _set_up(self) -> None:
        dialog = SetupDialog(self)
        if dialog.exec() == QDialog.DialogCode.Accepted:
            self._engine.restart()  # the new engine, whatever the old one suffered
        self._state("")
        self.scene.reload()
        self._list_models()

    def _diagnose(self) -> None:
        DiagnosticsDialog(self._engine, self).show()

    def remove(self) -> None:
        """Undo what reaches beyond this widget."""
        for dialog in (self.training, self.models):
            if dialog is not None:
                dialog.close()
        self.pretraining.remove()
        self.segment.remove()
        self.scene.remove_connections()
        self.options.remove()
        self._engine.state_changed.disconnect(self._state)
