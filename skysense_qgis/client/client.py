"""Requests to the engine and what comes back: JobHandle, Client (one worker), Engine (both workers)."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import deque
from pathlib import Path

from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

from ..paths import cache_folder
from ..protocol.framing import FrameError, FrameReader, encode_frame
from ..protocol.messages import (
    PROTOCOL,
    Call,
    Cancel,
    CancelReceived,
    Capabilities,
    Failure,
    Hello,
    Progress,
    Result,
)
from ..protocol.records import RecordError, from_plain, to_plain
from ..protocol.requests import INTERACTIVE, RESULTS
from .environment import find_engine
from .process import WorkerProcess

CRASHES, WITHIN_S = 5, 180.0  # as many in that time, and the engine is not started again
SILENCE_S = 30.0  # without any frame while busy, once the worker's libraries are loaded
CANCEL_S = 3.0  # a cancelled job answers within two seconds, or its worker is killed
START_S = 180.0  # for the first import of a freshly installed engine


class JobHandle(QObject):
    """One request at work. Exactly one of `done` and `failed` is emitted, then `finished`."""

    progressed = pyqtSignal(object)  # Progress
    done = pyqtSignal(object)  # the result record
    failed = pyqtSignal(object)  # Failure; code "cancelled" when it was stopped
    finished = pyqtSignal()

    def __init__(self, number: int, request: object, client: Client) -> None:
        super().__init__(client)
        self.number, self.request = number, request
        self.cancel_asked_at: float | None = None
        self._client = client
        self._over = False

    def cancel(self) -> None:
        """Ask the worker to stop; `failed` with code "cancelled" follows within two seconds."""
        if not self._over and self.cancel_asked_at is None:
            self.cancel_asked_at = time.monotonic()
            self._client.cancel(self)

    def finish(self, answer: object) -> None:
        if self._over:
            return
        self._over = True
        (self.failed if isinstance(answer, Failure) else self.done).emit(answer)
        self.finished.emit()
        self.deleteLater()


class Client(QObject):
    """One worker, started when the first request comes and again after a crash."""

    capabilities_changed = pyqtSignal(object)
    state_changed = pyqtSignal(str)

    def __init__(self, role: str, log: Path, parent: QObject | None = None, program: Path | None = None) -> None:
        super().__init__(parent)
        self.role, self.log = role, log
        self._program = program  # tests put misbehaving workers here
        self._worker: WorkerProcess | None = None
        self._reader = FrameReader()
        self._jobs: dict[int, JobHandle] = {}
        self._next = 1
        self._crashes: deque[float] = deque(maxlen=CRASHES)
        self._heard = 0.0
        self._ready = False
        self._why_killed = ""
        self.hello: Hello | None = None
        self._watch = QTimer(self)
        self._watch.setInterval(500)
        self._watch.timeout.connect(self._look)

    # -- requests ----------------------------------------------------------------------------------------------------
    def submit(self, request: object) -> JobHandle:
        """Send the request. Failures of any kind come through the handle, never as an exception."""
        handle = JobHandle(self._next, request, self)
        self._next += 1
        refusal = self._start()
        if refusal is not None:
            QTimer.singleShot(0, lambda: handle.finish(refusal))
            return handle
        try:
            frame = encode_frame(to_plain(Call(handle.number, request)))
        except (FrameError, RecordError) as error:
            broken = Failure(handle.number, "bad-request", f"The request cannot be sent: {error}.", "Choose fewer layers or points.")
            QTimer.singleShot(0, lambda: handle.finish(broken))
            return handle
        self._jobs[handle.number] = handle
        if self._worker is not None:
            self._worker.write(frame)
        self._watch.start()
        return handle

    def cancel(self, handle: JobHandle) -> None:
        if self._worker is not None and handle.number in self._jobs:
            self._worker.write(encode_frame(to_plain(Cancel(handle.number))))

    @property
    def busy(self) -> bool:
        return bool(self._jobs)

    @property
    def pid(self) -> int | None:
        return self._worker.pid if self._worker is not None else None

    def close(self) -> None:
        """End the worker without waiting; pending requests fail."""
        if self._worker is not None:
            worker, self._worker = self._worker, None
            worker.received.disconnect(self._receive)
            worker.ended.disconnect(self._ended)
            worker.end_now()
        self._fail_all(Failure(None, "cancelled", "The engine was closed.", "Start the job again."))

    # -- the worker --------------------------------------------------------------------------------------------------
    def _start(self) -> Failure | None:
        if self._worker is not None:
            return None
        python, reason = self._program, ""
        if python is None:
            engine = find_engine()
            python, reason = engine.python, engine.reason
        if python is None:
            return Failure(None, "not-set-up", reason, "Press “Set up engine” in the SkySense panel.")
        if len(self._crashes) == CRASHES and time.monotonic() - self._crashes[0] < WITHIN_S:
            return Failure(
                None,
                "crashed",
                f"The engine crashed {CRASHES} times within {WITHIN_S / 60:.0f} minutes and is not started again.",
                "Look at the log in the diagnostics report, then reload the plugin.",
            )
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._reader, self._ready, self._heard = FrameReader(), False, time.monotonic()
        self._worker = WorkerProcess(python, self.role, self.log, self)
        self._worker.received.connect(self._receive)
        self._worker.ended.connect(self._ended)
        self.state_changed.emit("starting")
        return None

    def _receive(self, data: bytes) -> None:
        self._heard = time.monotonic()
        for frame in self._reader.feed(data):
            if isinstance(frame, FrameError):
                self._break(f"sent something that is no message ({frame})")
                return
            try:
                self._take(from_plain(frame))
            except RecordError as error:
                self._break(f"sent a message that cannot be read ({error})")
                return

    def _take(self, message: object) -> None:
        if isinstance(message, Hello):
            self.hello = message
            if message.protocol != PROTOCOL:
                self._break(f"speaks protocol {message.protocol}, the plugin {PROTOCOL}: set the engine up again")
        elif isinstance(message, Capabilities):
            self._ready = True
            self.capabilities_changed.emit(message)
            self.state_changed.emit("ready")
        elif isinstance(message, Progress):
            handle = self._jobs.get(message.job)
            if handle is not None:
                handle.progressed.emit(message)
        elif isinstance(message, Result):
            self._answer(message.job, message.result)
        elif isinstance(message, Failure):
            if message.job is None:
                self._break(message.sentence)
            else:
                self._answer(message.job, message)
        elif isinstance(message, CancelReceived):
            return

    def _answer(self, job: int, answer: object) -> None:
        handle = self._jobs.pop(job, None)  # a late reply to a job that was given up is dropped
        if handle is None:
            return
        if not isinstance(answer, Failure) and not isinstance(answer, RESULTS[type(handle.request)]):
            answer = Failure(job, "protocol", "The engine's answer does not fit the request.", "Set the engine up again.")
        handle.finish(answer)

    def _break(self, reason: str) -> None:
        """The worker cannot be trusted any more."""
        self._why_killed = reason
        if self._worker is not None:
            self._worker.kill()

    def _ended(self, reason: str) -> None:
        self._worker = None
        self._crashes.append(time.monotonic())
        reason, self._why_killed = self._why_killed or reason, ""
        tail = self.log.read_bytes()[-4000:].decode("utf-8", "replace") if self.log.exists() else ""
        self.state_changed.emit("stopped")
        self._fail_all(
            Failure(
                None,
                "crashed",
                f"The engine stopped while it worked: {reason}.",
                "Try again, with a smaller extent if memory is short; the log panel tells more.",
                tail,
            )
        )

    def _fail_all(self, failure: Failure) -> None:
        handles, self._jobs = list(self._jobs.values()), {}
        for handle in handles:
            if handle.cancel_asked_at is not None:
                handle.finish(Failure(handle.number, "cancelled", "The job was cancelled.", "Start it again when you like."))
            else:
                handle.finish(failure)

    def _look(self) -> None:
        """Twice a second while there is work: is the worker silent, or does it not stop?"""
        now = time.monotonic()
        if not self._jobs:
            self._watch.stop()
            return
        asked = [h.cancel_asked_at for h in self._jobs.values() if h.cancel_asked_at is not None]
        if asked and now - min(asked) > CANCEL_S:
            self._break("it did not stop when it was asked to")
        elif now - self._heard > (SILENCE_S if self._ready else START_S):
            self._break(f"nothing was heard of it for {now - self._heard:.0f} seconds")


class Engine(QObject):
    """Both workers: prompts never queue behind long jobs."""

    state_changed = pyqtSignal(str)  # "not set up", "stopped", "starting", "ready"
    capabilities_changed = pyqtSignal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        logs = cache_folder() / "logs"
        self.capabilities: Capabilities | None = None
        self.interactive = Client("interactive", logs / "interactive.log", self)
        self.jobs = Client("jobs", logs / "jobs.log", self)
        for client in (self.interactive, self.jobs):
            client.capabilities_changed.connect(self._know)
            client.state_changed.connect(self.state_changed)
        self._folder: Path | None = None

    @property
    def reason(self) -> str:
        """Why nothing can run; empty when it can."""
        return find_engine().reason

    @property
    def private_folder(self) -> Path:
        """For arrays that are handed over; only this user can look in, and it goes with the session."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="skysense-"))
        return self._folder

    def submit(self, request: object) -> JobHandle:
        client = self.interactive if type(request) in INTERACTIVE else self.jobs
        return client.submit(request)

    def close(self) -> None:
        self.interactive.close()
        self.jobs.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _know(self, capabilities: Capabilities) -> None:
        self.capabilities = capabilities
        self.capabilities_changed.emit(capabilities)
