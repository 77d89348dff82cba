"""Sets the engine up in the user's cache folder: what `make setup` does for the backend, step by step in the background.

Everything is made under a temporary name and renamed when the engine's own report runs, so a half-done environment is
never taken for a whole one. QGIS's own Python is not touched.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from qgis.PyQt.QtCore import QLockFile, QObject, QProcess, QStandardPaths, QStorageInfo, pyqtSignal

from ..paths import BACKEND, cache_folder
from ..protocol.messages import Failure
from .environment import clean_environment, managed_folder

NEEDED_BYTES = 8 * 10**9  # the environment takes 5 GB, and as much again passes through the cache
CANDIDATES = ("python3.12", "python3.13", "python3.11", "python3")
LEAST_VERSION = (3, 11)
PROBE = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"


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
        self.target = managed_folder()
        self._draft = self.target.with_name(self.target.name + ".part")
        self._tools = cache_folder() / "uv"
        cache_folder().mkdir(parents=True, exist_ok=True)
        self._lock = QLockFile(str(cache_folder() / "setup.lock"))
        self._lock.setStaleLockTime(0)
        self._process: QProcess | None = None
        self._steps: list[Step] = []
        self._done = 0.0
        self._cancelled = False
        self._tail: list[str] = []
        self._candidates = [path for name in CANDIDATES if (path := QStandardPaths.findExecutable(name))]

    def start(self) -> None:
        """Begin; returns at once."""
        free = QStorageInfo(str(cache_folder())).bytesAvailable()
        if free < NEEDED_BYTES:
            self._fail(
                f"Setting the engine up needs {NEEDED_BYTES / 1e9:.0f} GB in {cache_folder()}, {free / 1e9:.1f} GB are free.",
                "Free some space and try again.",
            )
        elif not self._lock.tryLock(0):
            self._fail("The engine is being set up in another QGIS window.", "Wait until that is done.")
        else:
            self._probe()

    def cancel(self) -> None:
        self._cancelled = True
        if self._process is not None:
            self._process.kill()

    # -- a Python to start from --------------------------------------------------------------------------------------
    def _probe(self) -> None:
        if not self._candidates:
            self._fail(
                "No Python 3.11 or newer with the venv module was found.",
                "Install one (on Debian and Ubuntu: apt install python3-venv), or name it in the settings.",
            )
            return
        self.progressed.emit(self.tr("Looking for Python"), 0.0)
        self._run(self._candidates[0], ["-I", "-c", PROBE], self._probed)

    def _probed(self, code: int, output: str) -> None:
        python = self._candidates.pop(0)
        try:
            version = tuple(int(part) for part in output.strip().splitlines()[-1].split("."))
        except (ValueError, IndexError):
            version = (0, 0)
        if code != 0 or version < LEAST_VERSION:
            self._probe()
            return
        self.line.emit(f"{python}: Python {version[0]}.{version[1]}")
        self._plan(python)
        self._next()

    def _plan(self, python: str) -> None:
        shutil.rmtree(self._draft, ignore_errors=True)
        folder = "Scripts" if sys.platform == "win32" else "bin"
        own, uv = str(self._tools / folder / "python"), str(self._tools / folder / "uv")
        new = str(self._draft / folder / "python")
        lock = str(BACKEND / "requirements.lock")
        self._steps = [
            Step(self.tr("Preparing the installer"), python, ["-I", "-m", "venv", str(self._tools)], 0.04),
            Step(self.tr("Fetching the installer"), own, ["-I", "-m", "pip", "install", "--quiet", "uv"], 0.04),
            Step(self.tr("Making the environment"), uv, ["venv", "--python", python, str(self._draft)], 0.02),
            Step(
                self.tr("Downloading and installing, about 5 GB"),
                uv,
                ["pip", "install", "--python", new, "--require-hashes", "-r", lock],
                0.80,
            ),
            Step(self.tr("Trying the engine"), new, ["-I", str(BACKEND), "doctor"], 0.10),
        ]

    # -- steps -------------------------------------------------------------------------------------------------------
    def _next(self) -> None:
        if not self._steps:
            self._settle()
            return
        step = self._steps[0]
        self.progressed.emit(step.title, self._done)
        self.line.emit(f"$ {Path(step.program).name} {' '.join(step.arguments)}")
        self._run(step.program, step.arguments, self._stepped)

    def _stepped(self, code: int, output: str) -> None:
        step = self._steps.pop(0)
        if code != 0:
            self._fail(f"“{step.title}” failed.", "The log tells why. Check the connection and free space, then try again.")
            return
        self._done += step.share
        self._next()

    def _settle(self) -> None:
        shutil.rmtree(self.target, ignore_errors=True)
        self._draft.rename(self.target)
        self._lock.unlock()
        self.progressed.emit(self.tr("The engine is ready"), 1.0)
        self.finished.emit(None)

    def _run(self, program: str, arguments: list[str], then) -> None:
        output: list[str] = []
        process = QProcess(self)
        process.setProcessEnvironment(clean_environment())
        process.setProcessChannelMode(QProcess.ProcessChannelMode.MergedChannels)
        process.setProgram(program)
        process.setArguments(arguments)

        def read() -> None:
            text = bytes(process.readAll()).decode("utf-8", "replace")
            output.append(text)
            for part in text.splitlines():
                self._tail = [*self._tail[-80:], part]
                self.line.emit(part)

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

    def _fail(self, sentence: str, remedy: str, code: str = "setup") -> None:
        self._lock.unlock()
        shutil.rmtree(self._draft, ignore_errors=True)
        self.finished.emit(Failure(None, code, sentence, remedy, "\n".join(self._tail)))
