"""Pretraining runs: each a process of its own that may outlive QGIS, followed through its run folder."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from qgis.PyQt.QtCore import QObject, QProcess, QTimer, pyqtSignal

from ..paths import BACKEND
from ..protocol.half_done import alive
from ..settings import KnownRun, known_runs, save_known_runs
from .engines import note_use
from .environment import ISOLATED, clean_environment, find_engine
from .run_folder import OUTPUT, SETTINGS, STOP, Begun, RunStatus, ask_to_stop, look, read_status, stop_was_asked

LOOK_MS = 500
LOOKS_AT_ALL = 4
BUNDLED = "bundled"  # as start: the weights that come with the plugin
NEAR = "5"  # weight of staying near the weights of the start: that of the run which the bundled ones come from
LARGEST_OUTPUT_BYTES = 4 * 2**20  # of output.log, which a resumed run continues


class RunError(Exception):
    """A run that cannot be started or asked to stop; says what to do."""


@dataclass(frozen=True)
class RunOptions:
    """What a new run is made of."""

    shards: tuple[str, ...]  # folders
    preset: str = "nano"
    start: str = BUNDLED  # or a file of weights; empty: random ones
    near: bool = False  # whether features stay near those of the weights it starts from
    steps: int = 1000
    batch: int = 8
    accumulate: int = 1  # equal parts that a batch goes through in
    learning_rate: float = 5e-4
    seed: int = 0
    device: str = "auto"

    def arguments(self) -> list[str]:
        """Of `skysense pretrain`."""
        start = ["--start", self.start, *(["--keep", NEAR] if self.near else [])] if self.start else []
        numbers = {
            "--preset": self.preset,
            "--steps": self.steps,
            "--batch": self.batch,
            "--accumulate": self.accumulate,
            "--learning-rate": self.learning_rate,
            "--seed": self.seed,
        }
        pairs = [part for name, value in numbers.items() for part in (name, str(value))]
        return ["--shards", *self.shards, *pairs, *start, "--device", self.device]


def uneven_parts(batch: int, parts: int) -> str:
    """Why the engine would refuse to accumulate a batch over so many parts; empty if it would not."""
    if batch % parts == 0:
        return ""
    fitting = batch - batch % parts or parts
    return (
        f"A batch of {batch:,} cannot be split into {parts:,} equal parts for gradient accumulation. "
        f"Choose a batch that {parts:,} divides, such as {fitting:,}, or other parts; 1 always fits."
    )


def begin(folder: Path, options: RunOptions | None) -> Begun:
    """Start the process of a run; at once, on any thread. Nothing of it is tied to this one.

    Args:
        folder: of the run, made where it is not there.
        options: of a new run; None resumes the one that is there.

    Raises:
        RunError: there is no engine, the folder cannot be written, or the run is at work or not what the caller thinks.
    """
    engine = find_engine()
    if engine.python is None:
        raise RunError(engine.reason)
    there = (folder / SETTINGS).exists()
    if options is None and not there:
        raise RunError(f"{folder} holds no run. Start one there, or choose the folder of another.")
    if options is not None and there:
        raise RunError(f"{folder} holds a run already. Resume it, or choose another folder.")
    before = read_status(folder)
    if look(folder).working:
        raise RunError("The run is at work already. Stop it first.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STOP).unlink(missing_ok=True)
        output = folder / OUTPUT
        with output.open("ab"):
            pass
        if output.stat().st_size > LARGEST_OUTPUT_BYTES:
            output.replace(output.with_suffix(".old.log"))
        said = output.stat().st_size if output.exists() else 0
    except OSError as error:
        raise RunError(f"The folder {folder} cannot be written: {error.strerror}. Choose another one.") from None
    process = QProcess()
    environment = clean_environment()
    environment.insert("TQDM_MININTERVAL", "60")  # the bar of the command line goes into output.log, for days perhaps
    process.setProcessEnvironment(environment)
    process.setWorkingDirectory(str(folder))
    process.setStandardInputFile(QProcess.nullDevice())
    for redirect in (process.setStandardOutputFile, process.setStandardErrorFile):
        redirect(str(output), QProcess.OpenModeFlag.Append)
    process.setProgram(str(engine.python))
    more = options.arguments() if options is not None else _as_before(before)
    process.setArguments([*ISOLATED, str(BACKEND), "pretrain", str(folder), *more])
    started, pid = process.startDetached()
    if not started:
        raise RunError(f"The engine could not be started: {process.errorString()}. Set the engine up again.")
    note_use(engine.python.parent.parent, pid)
    return Begun(pid, before, said)


class PretrainingRun(QObject):
    """One run: `status` is what the last look has shown."""

    changed = pyqtSignal()  # of the status
    ended = pyqtSignal(object)  # itself, when its process is done

    def __init__(self, folder: Path, keep: bool, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.folder, self.keep = folder, keep  # keep: whether it goes on when QGIS closes
        self.mine = False  # whether this QGIS decides about it
        self._begun: Begun | None = None
        self._stopping = False
        self.status = look(folder)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def stopping(self) -> bool:
        return self.status.working and (self._stopping or stop_was_asked(self.folder))

    @property
    def resumable(self) -> bool:
        return not self.status.working and self.status.state != "finished" and (self.folder / SETTINGS).exists()

    def begin(self, options: RunOptions | None = None) -> None:
        """Start it, or resume it without options; raises RunError."""
        self._begun = begin(self.folder, options)
        self._stopping = False
        self.look()

    def stop(self) -> None:
        """Save and end; raises RunError."""
        self.look()
        if not self.status.working:
            return
        self._stopping = True
        try:
            ask_to_stop(self.folder, self.status)
        except OSError as error:
            raise RunError(f"The run cannot be asked to stop: {error.strerror}. Make {self.folder} writable.") from None
        self.changed.emit()

    def look(self) -> None:
        status = look(self.folder, self._begun)
        if self._stopping and status.state == "lost":  # it was still starting, and ended at once
            status = replace(status, state="stopped", sentence="Stopped before it began.", remedy="")
        if self._stopping and status.working and not stop_was_asked(self.folder):
            with suppress(OSError):  # it cleared the file away when it began, and has not seen the wish
                ask_to_stop(self.folder, status)
        if status != self.status:
            before, self.status = self.status, status
            self.changed.emit()
            if before.working and not status.working:
                self.ended.emit(self)


class PretrainingRuns(QObject):
    """All runs that are known here; they are remembered, and found again at the next start of QGIS."""

    listed = pyqtSignal()  # runs came or went
    changed = pyqtSignal()  # the status of one of them
    ended = pyqtSignal(object)  # a PretrainingRun whose process is done

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.runs: list[PretrainingRun] = []
        self._looks = 0
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self._look)
        self.reload()
        self._timer.start()

    @property
    def at_work(self) -> list[PretrainingRun]:
        return [run for run in self.runs if run.status.working]

    def reload(self) -> None:
        """Also runs that another window or an algorithm has started; not those whose folders are gone."""
        known = {run.folder: run for run in self.runs}
        before = list(self.runs)
        self.runs = []
        for entry in known_runs():
            folder = Path(entry.folder)
            if not folder.is_dir():
                continue
            run = known.get(folder) or self._take(folder, entry.keep)
            run.mine = run.mine or not alive(entry.window)  # whoever decided about it is gone
            run.look()
            self.runs.append(run)
        if self.runs != before:
            self.listed.emit()

    def start(self, folder: Path, options: RunOptions, keep: bool) -> PretrainingRun:
        """A new run; raises RunError."""
        run = self._take(folder, keep)
        try:
            run.begin(options)
        except RunError:
            run.deleteLater()
            raise
        self.runs.insert(0, run)
        self._save(run)
        self.listed.emit()
        return run

    def resume(self, run: PretrainingRun) -> None:
        """Raises RunError."""
        run.begin()
        self._save(run)

    def choose(self, run: PretrainingRun, keep: bool) -> None:
        """Whether the run goes on when QGIS closes."""
        run.keep = keep
        self._save(run)

    def add(self, folder: Path) -> PretrainingRun:
        """A run that is there already, of the command line perhaps; raises RunError."""
        if not (folder / SETTINGS).exists():
            raise RunError(f"{folder} holds no run. Choose the folder that a run was started in.")
        run = next((run for run in self.runs if run.folder == folder), None)
        if run is None:
            run = self._take(folder, True)
            self.runs.insert(0, run)
            self._save(run)
            self.listed.emit()
        return run

    def forget(self, run: PretrainingRun) -> None:
        """Its files stay."""
        self.runs.remove(run)
        save_known_runs([entry for entry in known_runs() if Path(entry.folder) != run.folder])
        run.deleteLater()
        self.listed.emit()

    def close(self) -> None:
        """QGIS ends, or the plugin is unloaded: runs go on, or save and end, as the user chose. Waits for none."""
        self._timer.stop()
        for run in self.at_work:
            if run.mine and not run.keep:
                with suppress(RunError):  # nobody is there to hear of it
                    run.stop()

    def _take(self, folder: Path, keep: bool) -> PretrainingRun:
        run = PretrainingRun(folder, keep, self)
        run.changed.connect(self.changed)
        run.ended.connect(self.ended)
        return run

    def _look(self) -> None:
        """At those at work; now and then at all, since others may start and resume runs too."""
        self._looks += 1
        for run in self.runs:
            if run.status.working or self._looks % LOOKS_AT_ALL == 0:
                run.look()

    def _save(self, run: PretrainingRun) -> None:
        run.mine = True
        remember(run.folder, run.keep)


def _as_before(status: RunStatus | None) -> list[str]:
    """A resumed run goes on where it was."""
    return ["--device", status.device.split(":")[0]] if status is not None and status.device else []


def remember(folder: Path, keep: bool) -> None:
    """Find the run again later; on any thread."""
    others = [entry for entry in known_runs() if Path(entry.folder) != folder]
    save_known_runs([KnownRun(str(folder), keep, os.getpid()), *others])
