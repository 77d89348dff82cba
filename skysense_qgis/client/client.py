"""Requests to the engine and what comes back: JobHandle, Client (one worker), Engine (both workers).

Everything here lives on the thread that made it; `blocking.run_request` is the way in from other threads.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import deque
from functools import partial
from pathlib import Path

from qgis.PyQt.QtCore import QObject, QThread, QTimer, pyqtSignal

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

CRASHES, WITHIN_S = 5, 180.0  # as many in that time, and the engine is not started again before the time is over
SILENCE_S = 30.0  # without any frame while busy, once the worker's libraries are loaded
START_S = 180.0  # for the first import of a freshly installed engine
ACKNOWLEDGE_S = 1.0  # for a cancel to be acknowledged,
STOP_S = 2.0  # and for the job to stop; a worker that does not is killed
LOOK_S = 0.25
LOG_TAIL_BYTES = 4000


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
        self.cancel_received = False
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

    def overdue(self, now: float) -> bool:
        """Whether the worker did not react to the cancel."""
        if self.cancel_asked_at is None:
            return False
        waited = now - self.cancel_asked_at
        return waited > STOP_S or (waited > ACKNOWLEDGE_S and not self.cancel_received)


class Client(QObject):
    """One worker, started when the first request comes and again after a crash."""

    capabilities_changed = pyqtSignal(object)
    state_changed = pyqtSignal(str)  # "starting", "ready", "stopped", "failed"

    def __init__(self, role: str, log: Path, parent: QObject | None = None, program: Path | None = None) -> None:
        super().__init__(parent)
        self.role, self.log = role, log
        self._program = program  # in place of the engine's Python
        self._worker: WorkerProcess | None = None
        self._reader = FrameReader()
        self._jobs: dict[int, JobHandle] = {}
        self._next = 1
        self._crashes: deque[float] = deque(maxlen=CRASHES)
        self._heard = self._looked = 0.0
        self._ready = self._closed = False
        self._verdict: Failure | None = None  # why the worker is being killed
        self.state = "stopped"
        self.hello: Hello | None = None  # of the worker that runs
        self._watch = QTimer(self)
        self._watch.setInterval(round(1000 * LOOK_S))
        self._watch.timeout.connect(self._look)

    # -- requests ----------------------------------------------------------------------------------------------------
    def submit(self, request: object) -> JobHandle:
        """Send the request. Failures of any kind come through the handle, never as an exception."""
        handle = JobHandle(self._next, request, self)
        self._next += 1
        refusal = self._start()
        if refusal is not None:
            QTimer.singleShot(0, partial(handle.finish, refusal))
            return handle
        try:
            frame = encode_frame(to_plain(Call(handle.number, request)))
        except (FrameError, RecordError) as error:
            broken = Failure(handle.number, "bad-request", f"The request cannot be sent: {error}.", "Choose fewer layers or points.")
            QTimer.singleShot(0, partial(handle.finish, broken))
            return handle
        if not self._jobs:  # an idle worker says nothing: its silence counts from now
            self._heard = self._looked = time.monotonic()
        self._jobs[handle.number] = handle
        if self._worker is not None:
            self._worker.write(frame)
        self._watch.start()
        return handle

    def cancel(self, handle: JobHandle) -> None:
        if self._worker is None or handle.number not in self._jobs:
            return
        self._worker.write(encode_frame(to_plain(Cancel(handle.number))))
        if not self._ready:  # it may be loading libraries for long, and nothing is lost: nobody has to wait for that
            QTimer.singleShot(0, partial(self._answer, handle.number, _STOPPED))

    @property
    def busy(self) -> bool:
        return bool(self._jobs)

    @property
    def pid(self) -> int | None:
        return self._worker.pid if self._worker is not None else None

    @property
    def reason(self) -> str:
        """Why the worker is not started again; empty when it may be."""
        if len(self._crashes) < CRASHES or time.monotonic() - self._crashes[0] > WITHIN_S:
            return ""
        return f"The engine crashed {CRASHES} times within {WITHIN_S / 60:.0f} minutes and is not started again for now."

    def close(self) -> WorkerProcess | None:
        """End the worker without waiting, for good; pending requests fail. The process that is about to end."""
        self._closed = True
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.received.disconnect(self._receive)
            worker.ended.disconnect(self._ended)
            worker.end()
        self._fail_all(_CLOSED)
        return worker

    # -- the worker --------------------------------------------------------------------------------------------------
    def _start(self) -> Failure | None:
        """Start the worker unless it runs; why that is not possible."""
        if self._worker is not None:
            return None
        if self._closed:
            return _CLOSED
        if self.reason:
            return Failure(None, "crashed", self.reason, "Look at the log in the diagnostics report, and try again later.")
        python, reason = self._program, ""
        if python is None:
            engine = find_engine()
            python, reason = engine.python, engine.reason
        if python is None:
            return Failure(None, "not-set-up", reason, "Press “Set up engine” in the SkySense panel.")
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            return Failure(None, "output", f"The log cannot be written: {error}.", "Make the folder writable.")
        self._reader, self._ready, self.hello, self._verdict = FrameReader(), False, None, None
        self._heard = self._looked = time.monotonic()
        self._worker = WorkerProcess(python, self.role, self.log, self)
        self._worker.received.connect(self._receive)
        self._worker.ended.connect(self._ended)
        self._say("starting")
        return None

    def _receive(self, data: bytes) -> None:
        self._heard = time.monotonic()
        for frame in self._reader.feed(data):
            if isinstance(frame, FrameError):
                self._distrust(f"sent something that is no message ({frame})")
                return
            try:
                self._take(from_plain(frame))
            except RecordError as error:
                self._distrust(f"sent a message that cannot be read ({error})")
                return

    def _take(self, message: object) -> None:
        if isinstance(message, Hello):
            if message.protocol == PROTOCOL:
                self.hello = message
            else:
                self._distrust(f"speaks protocol {message.protocol}, the plugin {PROTOCOL}")
        elif isinstance(message, Capabilities):
            self._ready = True
            self.capabilities_changed.emit(message)
            self._say("ready")
        elif isinstance(message, Progress):
            handle = self._jobs.get(message.job)
            if handle is not None:
                handle.progressed.emit(message)
        elif isinstance(message, Result):
            self._answer(message.job, message.result)
        elif isinstance(message, Failure):
            if message.job is None:
                self._kill(message)
            else:
                self._answer(message.job, message)
        elif isinstance(message, CancelReceived) and message.job in self._jobs:
            self._jobs[message.job].cancel_received = True

    def _answer(self, job: int, answer: object) -> None:
        handle = self._jobs.pop(job, None)  # a late reply to a job that was given up is dropped
        if handle is None:
            return
        if not isinstance(answer, Failure) and not isinstance(answer, RESULTS[type(handle.request)]):
            answer = Failure(job, "protocol", "The engine's answer does not fit the request.", "Set the engine up again.")
        handle.finish(answer)

    def _distrust(self, what: str) -> None:
        """The worker cannot be understood: another version, or damaged."""
        self._kill(Failure(None, "protocol", f"The engine {what}.", "Try again; if that does not help, set the engine up again."))

    def _kill(self, verdict: Failure) -> None:
        self._verdict = self._verdict or verdict
        if self._worker is not None:
            self._worker.kill()

    def _ended(self, reason: str) -> None:
        """The worker is gone, whyever: everything pending fails, and one that had been well is started again."""
        if self._worker is not None:
            self._worker.deleteLater()
            self._worker = None
        verdict, self._verdict = self._verdict or self._explain(reason), None
        greeted = self.hello is not None
        if verdict is not _NOT_STOPPED:  # that one was killed for the user, who may do so as often as he likes
            self._crashes.append(time.monotonic())
        if self.reason:
            QTimer.singleShot(round(1000 * WITHIN_S), self._calm)
        self._say("failed" if self.reason else "stopped")
        self._fail_all(verdict)
        if greeted and verdict.code != "environment" and not self._closed and not self.reason:
            self._start()

    def _explain(self, reason: str) -> Failure:
        try:
            tail = self.log.read_bytes()[-LOG_TAIL_BYTES:].decode("utf-8", "replace")
        except OSError:
            tail = ""
        if self.hello is None:
            sentence = f"The engine could not be started: {reason}."
            return Failure(None, "environment", sentence, "Set the engine up again, or correct its Python in the settings.", tail)
        sentence = f"The engine stopped while it worked: {reason}."
        return Failure(None, "crashed", sentence, "Try again, with a smaller extent if memory is short; the log panel tells more.", tail)

    def _fail_all(self, failure: Failure) -> None:
        handles, self._jobs = list(self._jobs.values()), {}
        for handle in handles:
            handle.finish(_STOPPED if handle.cancel_asked_at is not None else failure)

    def _calm(self) -> None:
        """The crashes lie long enough behind."""
        if self.state == "failed" and not self.reason:
            self._say("stopped")

    def _look(self) -> None:
        """While there is work: is the worker silent, or does it not stop?"""
        now = time.monotonic()
        late, self._looked = now - self._looked > 10 * LOOK_S, now
        if not self._jobs:
            self._watch.stop()
        elif late:  # QGIS itself stood still: what the worker said meanwhile is yet to be read
            self._heard = now
        elif any(handle.overdue(now) for handle in self._jobs.values()):
            self._kill(_NOT_STOPPED)
        elif now - self._heard > (SILENCE_S if self._ready else START_S):
            self._kill(_silent(now - self._heard))

    def _say(self, state: str) -> None:
        self.state = state
        self.state_changed.emit(state)


class Engine(QObject):
    """Both workers: prompts never queue behind long jobs."""

    state_changed = pyqtSignal(str)  # what `state` says now
    capabilities_changed = pyqtSignal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        logs = cache_folder() / "logs"
        self.capabilities: Capabilities | None = None
        self.interactive = Client("interactive", logs / "interactive.log", self)
        self.jobs = Client("jobs", logs / "jobs.log", self)
        for client in (self.interactive, self.jobs):
            client.capabilities_changed.connect(self._know)
            client.state_changed.connect(self._tell)
        self._folder: Path | None = None

    @property
    def reason(self) -> str:
        """Why nothing can run; empty when it can."""
        return find_engine().reason or self.interactive.reason or self.jobs.reason

    @property
    def state(self) -> str:
        """ "not set up", "failed", "starting", "ready", "stopped": the first that holds for one of the workers."""
        if find_engine().reason:
            return "not set up"
        states = {self.interactive.state, self.jobs.state}
        return next(state for state in ("failed", "starting", "ready", "stopped") if state in states)

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
        """End both workers. Waits for them only where no event loop comes back: when QGIS itself ends."""
        ending = [worker for client in (self.interactive, self.jobs) if (worker := client.close()) is not None]
        if QThread.currentThread().loopLevel() == 0:
            for worker in ending:
                worker.wait_for_end()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _know(self, capabilities: Capabilities) -> None:
        self.capabilities = capabilities
        self.capabilities_changed.emit(capabilities)

    def _tell(self, state: str) -> None:
        self.state_changed.emit(self.state)


_CLOSED = Failure(None, "cancelled", "The engine was closed.", "Start the job again.")
_STOPPED = Failure(None, "cancelled", "The job was cancelled.", "Start it again when you like.")
_NOT_STOPPED = Failure(
    None, "crashed", "The engine was stopped, since a cancelled job beside this one did not end.", "Start the job again."
)


def _silent(seconds: float) -> Failure:
    sentence = f"Nothing was heard of the engine for {seconds:.0f} seconds, so it was stopped."
    return Failure(None, "crashed", sentence, "Try again; the log panel tells more.")
