"""Sets the engine up in the user's cache folder: what `make setup` does for the backend, step by step in the background.

Everything is made under a temporary name and renamed when the engine's own report runs, so a half-done environment is
never taken for a whole one. QGIS's own Python is not touched.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from qgis.PyQt.QtCore import QLockFile, QObject, QProcess, QStandardPaths, QStorageInfo, QTimer, pyqtSignal

from ..paths import BACKEND
from ..protocol.messages import Failure
from ..settings import Settings
from .engines import PREFIX, in_use, note_use
from .environment import ISOLATED, clean_environment, managed_folder

NEEDED_BYTES = 8 * 10**9  # the environment takes 5 GB, most of it the same files as in the installer's cache, and some for a while
CANDIDATES = ("python3.12", "python3.13", "python3.11", "python3")
LEAST_VERSION = (3, 11)
PROBE = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
REMOVE = "import shutil, sys; shutil.rmtree(sys.argv[1], ignore_errors=True)"
TRASH = ".trash"
TAIL_LINES = 80


@dataclass(frozen=True)
class Step:
    title: str
    program: str
    arguments: list[str]
    share: float  # of the whole time


class EngineInstaller(QObject):
    """One run: `start`, then `progressed` and `line` until `finished` with None or a Failure."""

    progressed = pyqtSignal(str, float)  # title, fraction
    line = pyqtSignal(str)  # of the log
    finished = pyqtSignal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        cache = Settings.load().cache
        self.target = managed_folder()
        self.log = cache / "logs" / "setup.log"
        self._cache = cache
        self._draft = self.target.with_name(self.target.name + ".part")
        self._tools = cache / "uv"
        self._downloads = cache / "uv-cache"  # on the same disk, so that files are linked and not copied
        self._lock = QLockFile(str(cache / "setup.lock"))
        self._lock.setStaleLockTime(0)  # only a dead process gives it up
        self._process: QProcess | None = None
        self._steps: list[Step] = []
        self._done = 0.0
        self._cancelled = False
        self._tail: list[str] = []
        self._candidates = [path for name in CANDIDATES if (path := QStandardPaths.findExecutable(name))]
        self._python = ""

    def start(self) -> None:
        """Begin; returns at once, also `finished` comes later."""
        QTimer.singleShot(0, self._begin)

    def cancel(self) -> None:
        """Stop; `finished` follows with a Failure of code "cancelled"."""
        self._cancelled = True
        if self._process is not None:
            self._process.kill()

    def _begin(self) -> None:
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            self.log.write_text("", encoding="utf-8")
        except OSError as error:
            self._fail(f"The folder {self._cache} cannot be written: {error.strerror}.", "Choose another one in the settings.")
            return
        free = QStorageInfo(str(self._cache)).bytesAvailable()
        if free < NEEDED_BYTES:
            self._fail(
                f"Setting the engine up needs {NEEDED_BYTES / 1e9:.0f} GB in {self._cache}, {free / 1e9:.1f} GB are free.",
                "Free some space, or choose another folder in the settings, and try again.",
            )
        elif not self._lock.tryLock(0):
            self._fail("The engine is being set up in another QGIS window.", "Wait until that is done.")
        else:
            self._probe()

    # -- a Python to start from --------------------------------------------------------------------------------------
    def _probe(self) -> None:
        if not self._candidates:
            self._fail(
                "No Python 3.11 or newer with the venv module was found.",
                "Install one (on Debian and Ubuntu: apt install python3-venv) and try again.",
            )
            return
        self.progressed.emit(self.tr("Looking for Python"), 0.0)
        self._run(self._candidates[0], [*ISOLATED, "-c", PROBE], self._probed)

    def _probed(self, code: int, output: str) -> None:
        python = self._candidates.pop(0)
        try:
            version = tuple(int(part) for part in output.strip().splitlines()[-1].split("."))
        except (ValueError, IndexError):
            version = (0, 0)
        if code != 0 or version < LEAST_VERSION:
            self._probe()
            return
        self._note(f"{python}: Python {version[0]}.{version[1]}")
        self._python = python
        for trash in (*self._cache.glob(f"{PREFIX}*{TRASH}"), *self._cache.glob(f"{self._downloads.name}*{TRASH}")):
            self._delete(trash)  # whoever was at it was stopped
        self._remove(self._draft)  # of a run that was interrupted
        self._plan()
        self._next()

    def _plan(self) -> None:
        folder = "Scripts" if sys.platform == "win32" else "bin"
        own, uv = str(self._tools / folder / "python"), str(self._tools / folder / "uv")
        new = str(self._draft / folder / "python")
        lock = str(BACKEND / "requirements.lock")
        prepare = [
            Step(self.tr("Preparing the installer"), self._python, [*ISOLATED, "-m", "venv", str(self._tools)], 0.04),
            Step(self.tr("Fetching the installer"), own, [*ISOLATED, "-m", "pip", "install", "--quiet", "--no-cache-dir", "uv"], 0.04),
        ]
        there = QStandardPaths.findExecutable("uv", [str(Path(uv).parent)])
        self._steps = [
            *([] if there else prepare),
            Step(self.tr("Making the environment"), uv, ["venv", "--python", self._python, str(self._draft)], 0.02),
            Step(
                self.tr("Downloading and installing, about 5 GB"),
                uv,
                ["pip", "install", "--python", new, "--require-hashes", "-r", lock],
                0.80,
            ),
            Step(self.tr("Trying the engine"), new, [*ISOLATED, str(BACKEND), "doctor"], 0.10),
        ]

    # -- steps -------------------------------------------------------------------------------------------------------
    def _next(self) -> None:
        if not self._steps:
            self._settle()
            return
        step = self._steps[0]
        self.progressed.emit(step.title, self._done)
        self._note(f"$ {Path(step.program).name} {' '.join(step.arguments)}")
        self._run(step.program, step.arguments, self._stepped)

    def _stepped(self, code: int, output: str) -> None:
        step = self._steps.pop(0)
        if code != 0:
            self._fail(
                f"“{step.title}” failed.",
                f"Check the connection and the free space, then try again. The log tells more: {self.log}",
            )
            return
        self._done += step.share
        self._next()

    def _settle(self) -> None:
        self._remove(self.target)
        try:
            self._draft.rename(self.target)
        except OSError as error:
            self._fail(f"The engine could not be moved to {self.target}: {error.strerror}.", "Close other QGIS windows and try again.")
            return
        note_use(self.target)
        self._tidy()
        self._lock.unlock()
        self.progressed.emit(self.tr("The engine is ready"), 1.0)
        self.finished.emit(None)

    def _tidy(self) -> None:
        """Remove what nobody needs any more: downloads, and environments of other versions that no process uses.

        A run that fails keeps its downloads for the next one.
        """
        self._remove(self._downloads)
        configured = Path(Settings.load().interpreter)
        for folder in list(self._cache.glob(f"{PREFIX}*")):
            if folder.suffix != TRASH and folder != self.target and folder not in configured.parents:
                self._remove(folder, in_use)

    def _run(self, program: str, arguments: list[str], then: Callable[[int, str], None]) -> None:
        """Start a program; `then` takes its exit code and what it said."""
        output: list[str] = []
        process = QProcess(self)
        environment = clean_environment()
        environment.insert("UV_CACHE_DIR", str(self._downloads))
        process.setProcessEnvironment(environment)
        process.setProcessChannelMode(QProcess.ProcessChannelMode.MergedChannels)
        process.setProgram(program)
        process.setArguments(arguments)

        def read() -> None:
            text = bytes(process.readAll()).decode("utf-8", "replace")
            output.append(text)
            for part in text.splitlines():
                self._note(part)

        def ended(code: int, status: QProcess.ExitStatus) -> None:
            read()
            self._process = None
            process.deleteLater()
            if self._cancelled:
                self._fail("Setting the engine up was stopped.", "Start it again when you like.", "cancelled")
                return
            crashed = status == QProcess.ExitStatus.CrashExit
            then(1 if crashed else code, "".join(output))

        def failed(error: QProcess.ProcessError) -> None:
            if error == QProcess.ProcessError.FailedToStart:
                ended(127, QProcess.ExitStatus.NormalExit)

        process.readyRead.connect(read)
        process.finished.connect(ended)
        process.errorOccurred.connect(failed)
        self._process = process
        process.start()

    def _note(self, line: str) -> None:
        self._tail = [*self._tail[1 - TAIL_LINES :], line]
        with suppress(OSError), self.log.open("a", encoding="utf-8") as file:  # a full disk: the step itself will say so
            file.write(line + "\n")
        self.line.emit(line)

    def _remove(self, folder: Path, spared: Callable[[Path], bool] | None = None) -> None:
        """Out of the way at once; 60,000 files are deleted by a process of its own."""
        if not folder.exists() or (spared is not None and spared(folder)):
            return
        trash = folder.with_name(f"{folder.name}.{time.time_ns()}{TRASH}")
        with suppress(OSError):  # in use, as Windows knows it: the next step fails and says so
            folder.rename(trash)
            if spared is not None and spared(trash):  # somebody came between the look and the new name
                trash.rename(folder)
            else:
                self._delete(trash)

    def _delete(self, trash: Path) -> None:
        QProcess.startDetached(self._python, [*ISOLATED, "-c", REMOVE, str(trash)])

    def _fail(self, sentence: str, remedy: str, code: str = "setup") -> None:
        if self._python:
            self._remove(self._draft)
        self._lock.unlock()
        self.finished.emit(Failure(None, code, sentence, remedy, "\n".join(self._tail)))
