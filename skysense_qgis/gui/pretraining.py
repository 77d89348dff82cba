"""Where pretraining meets the panel: its layers become shards, its job queue makes them, its models take the encoder up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from qgis.core import Qgis, QgsApplication, QgsProject
from qgis.PyQt.QtCore import QObject, pyqtSignal
from qgis.PyQt.QtWidgets import QWidget

from ..client.client import JobHandle
from ..client.pretraining import PretrainingRun, PretrainingRuns, RunError
from ..client.run_folder import SETTINGS, WEIGHTS
from ..layers.sources import LayerError
from ..protocol.requests import ConvertModel, MakeShards, ShardsMade
from .job_options import JobOptions
from .job_runner import JobRunner
from .outputs import free_name
from .pretraining_dialog import PretrainingDialog
from .pretraining_form import WantedRun
from .pretraining_words import stage_of
from .scene_panel import ScenePanel


class Pretraining(QObject):
    """Owns the runs and the window that shows them."""

    message = pyqtSignal(str, object)
    at_work_changed = pyqtSignal(int)  # how many runs

    def __init__(self, scene: ScenePanel, options: JobOptions, runner: JobRunner, window: QWidget) -> None:
        super().__init__(window)
        self._scene, self._options, self._runner, self._window = scene, options, runner, window
        self.runs = PretrainingRuns(self)
        self.runs.changed.connect(self._count)
        self.runs.listed.connect(self._count)
        self.runs.ended.connect(self._tell_end)
        self.dialog: PretrainingDialog | None = None
        scene.changed.connect(self._tell_layers)
        QgsApplication.instance().aboutToQuit.connect(self.runs.close)

    def open(self) -> None:
        """Show the window."""
        if self.dialog is None:
            self.runs.reload()
            self.dialog = PretrainingDialog(self.runs, self._window)
            self.dialog.finished.connect(self._forget_dialog)
            self.dialog.folder_chosen.connect(self._look_at)
            self.dialog.form.wanted.connect(self._start)
            self.dialog.view.stop_wanted.connect(lambda run: self._try(run.stop))
            self.dialog.view.resume_wanted.connect(lambda run: self._try(lambda: self.runs.resume(run)))
            self.dialog.view.add_wanted.connect(self._add_model)
            self.dialog.view.keep_chosen.connect(self.runs.choose)
            self._tell_layers()
        self.dialog.show()
        self.dialog.raise_()

    def tell_found(self) -> None:
        """Runs that went on while QGIS was closed."""
        for run in self.runs.at_work:
            self.message.emit(
                self.tr("Pretraining of {} goes on: step {:,} of {:,}.").format(run.name, run.status.step, run.status.steps),
                Qgis.MessageLevel.Info,
            )
        self._count()

    def began(self, request: object, handle: JobHandle) -> None:
        """A job has begun; ours are shown in the window too."""
        ours = isinstance(request, MakeShards) or (isinstance(request, ConvertModel) and Path(request.paths[0]).name == WEIGHTS)
        if ours and self.dialog is not None:
            self.dialog.watch(handle)

    def remove(self) -> None:
        """Undo what reaches beyond this object; the runs go on, or stop, as the user chose."""
        QgsApplication.instance().aboutToQuit.disconnect(self.runs.close)
        self._scene.changed.disconnect(self._tell_layers)
        if self.dialog is not None:
            self.dialog.close()
        self.runs.close()

    # -- starting ----------------------------------------------------------------------------------------------------
    def _start(self, wanted: WantedRun) -> None:
        if not wanted.of_layers:
            self._begin(wanted)
            return
        if (wanted.folder / SETTINGS).exists():
            self._refuse(self.tr("{} holds a run already. Resume it, or choose another folder.").format(wanted.folder))
            return
        try:
            scene = self._scene.scene(self._options.area.extent())
        except LayerError as error:
            self._refuse(str(error))
            return
        if self._is_busy():
            return
        shards = wanted.folder.with_name(wanted.folder.name + "-shards")
        self._runner.run(MakeShards(scene, str(shards)), lambda made: self._begin_with(wanted, made))

    def _begin_with(self, wanted: WantedRun, made: ShardsMade) -> None:
        self._begin(replace(wanted, options=replace(wanted.options, shards=(made.folder,))))

    def _begin(self, wanted: WantedRun) -> None:
        run = self._try(lambda: self.runs.start(wanted.folder, wanted.options, wanted.keep))
        if run is not None and self.dialog is not None:
            self.dialog.choose(run)
            self.dialog.form.renew()

    def _look_at(self, folder: str) -> None:
        run = self._try(lambda: self.runs.add(Path(folder)))
        if run is not None and self.dialog is not None:
            self.dialog.choose(run)

    # -- inside ------------------------------------------------------------------------------------------------------
    def _try(self, action) -> object:
        """What the action gives; its refusal in words, where the user looks."""
        self._refuse("")
        try:
            return action()
        except RunError as error:
            self._refuse(str(error))
            return None

    def _refuse(self, text: str) -> None:
        if self.dialog is not None:
            self.dialog.refuse(text)
        elif text:
            self.message.emit(text, Qgis.MessageLevel.Warning)

    def _is_busy(self) -> bool:
        """Whether the job queue is taken; says so in the window, which may hide the panel."""
        self._refuse(self.tr("Another job is at work. Wait for it, or cancel it.") if self._runner.busy else "")
        return self._runner.busy

    def _add_model(self, run: PretrainingRun) -> None:
        if self._is_busy():
            return
        try:
            _, target = free_name(run.name)
        except LayerError as error:
            self._refuse(str(error))
            return
        self._runner.run(ConvertModel((str(run.folder / WEIGHTS),), str(target)), None)

    def _tell_layers(self) -> None:
        if self.dialog is not None:
            layers = [QgsProject.instance().mapLayer(row.layer_id) for row in self._scene.rows]
            self.dialog.form.data.set_layers([layer.name() for layer in layers if layer is not None])

    def _count(self) -> None:
        self.at_work_changed.emit(len(self.runs.at_work))

    def _tell_end(self, run: PretrainingRun) -> None:
        """Where the window does not show it."""
        if self.dialog is None:
            well = run.status.state in ("finished", "stopped")
            level = Qgis.MessageLevel.Success if well else Qgis.MessageLevel.Warning
            self.message.emit(f"{run.name}: {stage_of(run)}", level)

    def _forget_dialog(self, _: int) -> None:
        self.dialog = None
