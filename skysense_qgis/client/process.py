"""One worker process: bytes both ways, its log on disk, and an orderly end."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from qgis.PyQt.QtCore import QCoreApplication, QObject, QProcess, QTimer, pyqtSignal

from ..paths import BACKEND
from .environment import ISOLATED, clean_environment

LARGEST_LOG_BYTES = 4 * 2**20
TAIL_BYTES = 4000
PATIENCE_MS = 2000  # between asking, telling and forcing a worker to end


class WorkerProcess(QObject):
    """Starts `python -I -X utf8 backend serve`; `received` gives bytes as they come, `ended` comes exactly once."""

    received = pyqtSignal(bytes)
    ended = pyqtSignal(str)  # why, for people

    def __init__(self, python: Path, role: str, log: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._log = log
        self._said = b""  # the end of it
        self._over = False
        self._process = QProcess(self)
        self._process.setProcessEnvironment(clean_environment())
        self._process.setWorkingDirectory(str(log.parent))
        self._process.setProgram(str(python))
        self._process.setArguments([*ISOLATED, str(BACKEND), "serve", "--role", role])
        self._process.readyReadStandardOutput.connect(self._read)
        self._process.readyReadStandardError.connect(self._keep_log)
        self._process.errorOccurred.connect(self._failed)
        self._process.finished.connect(self._finished)
        self._process.start()

    @property
    def pid(self) -> int:
        return int(self._process.processId())

    @property
    def tail(self) -> str:
        """The end of what this process has logged, for failures; says so where that is nothing."""
        self._keep_log()
        return self._said.decode("utf-8", "replace") or "The engine has logged nothing."

    def write(self, data: bytes) -> None:
        self._process.write(data)

    @property
    def running(self) -> bool:
        return self._process.state() != QProcess.ProcessState.NotRunning

    def end(self) -> None:
        """Close its input; terminate, then kill it if it does not go. Returns at once."""
        if not self.running:
            self._end("it was not running")
            self.deleteLater()
            return
        self.setParent(QCoreApplication.instance())  # it may outlive whoever started it
        self._process.finished.connect(self.deleteLater)
        self._process.closeWriteChannel()
        QTimer.singleShot(PATIENCE_MS, self._terminate)
        QTimer.singleShot(2 * PATIENCE_MS, self.kill)

    def wait_for_end(self) -> None:
        """After `end`, where no event loop comes back: wait shortly, then kill."""
        if self.running and not self._process.waitForFinished(PATIENCE_MS + 500):
            self._process.kill()
            self._process.waitForFinished(500)

    def kill(self) -> None:
        if self.running:
            self._process.kill()

    def _terminate(self) -> None:
        if self.running:
            self._process.terminate()

    def _read(self) -> None:
        self.received.emit(bytes(self._process.readAllStandardOutput()))

    def _keep_log(self) -> None:
        """Always drained, or the worker would stop; beyond its cap the log starts anew, the old one beside it."""
        data = bytes(self._process.readAllStandardError())[-LARGEST_LOG_BYTES:]
        self._said = (self._said + data)[-TAIL_BYTES:]
        with suppress(OSError):  # a full disk costs the log, not the job
            if self._log.exists() and self._log.stat().st_size + len(data) > LARGEST_LOG_BYTES:
                self._log.replace(self._log.with_suffix(".old.log"))
            with self._log.open("ab") as file:
                file.write(data)

    def _failed(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            QTimer.singleShot(0, self._not_started)  # on some systems this comes before anybody could connect

    def _not_started(self) -> None:
        self._end(self._process.errorString())

    def _finished(self, code: int, status: QProcess.ExitStatus) -> None:
        self._keep_log()
        self._read()
        crashed = status == QProcess.ExitStatus.CrashExit
        self._end("it was killed or crashed" if crashed else f"it ended with code {code}")

    def _end(self, reason: str) -> None:
        if not self._over:
            self._over = True
            self.ended.emit(reason)
