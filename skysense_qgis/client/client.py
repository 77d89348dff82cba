"""Requests to the engine and what comes back: JobHandle, Client (one worker), Engine (both workers).

Everything here lives on the thread that made it; `blocking.run_request` is the way in from other threads.
"""

from __future__ import annotations

import shutil
import time
from collections import deque
from dataclasses import replace
from functools import partial
from pathlib import Path

from qgis.PyQt.QtCore import QObject, QThread, QTimer, pyqtSignal

from ..protocol.framing import FrameError, FrameReader, encode_frame
from ..protocol.half_done import parents_of, remove_of
from ..protocol.messages import (
    PROTOCOL,
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
from .call import EncodedCall, encode_call
from .clearing import clear, wait_for_clearing
from .engines import drop_note, note_use
from .environment import find_engine
from .logs import log_of, remove_old_logs
from .private_folder import make_private_folder, remove_private_folders_left_behind
from .process import WorkerProcess

CRASHES, WITHIN_S = 5, 180.0  # as many in that time, and the engine is not started again before the time is over
SILENCE_S = 30.0  # without any frame while busy, once the worker's libraries are loaded
START_S = 180.0  # for the first import of a freshly installed engine
ACKNOWLEDGE_S = 1.0  # for a cancel to be acknowledged,
STOP_S = 2.0  # and for the job to stop; a worker that does not is killed
LOOK_S = 0.25
CLEARING_S = 5.0  # for what is removed while QGIS ends
WAITING = "Waiting for another job"  # the stage of a job in the line


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

    def forgive(self, now: float, seconds: float) -> None:
        """The time in which QGIS itself stood still does not count against the worker."""
        if self.cancel_asked_at is not None:
            self.cancel_asked_at = min(now, self.cancel_asked_at + seconds)

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
        self._folders: set[Path] = set()  # where this worker may have half-done files
        self._crashes: deque[float] = deque(maxlen=CRASHES)
        self._heard = self._looked = 0.0
        self._ready = self._closed = self._outdated = False
        self._verdict: Failure | None = None  # why the worker is being killed
        self._last_log = ""  # of the worker that crashed last
        self._note: Path | None = None  # that the environment is in use
        self.state = "stopped"
        self.hello: Hello | None = None  # of the worker that runs
        self._watch = QTimer(self)
        self._watch.setInterval(round(1000 * LOOK_S))
        self._watch.timeout.connect(self._look)

    # -- requests ----------------------------------------------------------------------------------------------------
    def submit(self, request: object) -> JobHandle:
        """Send the request. Failures of any kind come through the handle, never as an exception."""
        return self.send(encode_call(request))

    def send(self, call: EncodedCall) -> JobHandle:
        """As `submit`, for a request that was encoded before, perhaps on another thread."""
        handle = JobHandle(call.number, call.request, self)
        refusal = call.refusal or self._start()
        if refusal is not None:
            QTimer.singleShot(0, partial(handle.finish, refusal))
            return handle
        if self._jobs:
            QTimer.singleShot(0, partial(self._tell_waiting, handle))
        else:  # an idle worker says nothing: its silence counts from now
            self._heard = self._looked = time.monotonic()
        self._jobs[handle.number] = handle
        self._folders |= parents_of(call.request)
        if self._worker is not None:
            self._worker.write(call.frame)
        self._watch.start()
        return handle

    def cancel(self, handle: JobHandle) -> None:
        if self._worker is None or handle.number not in self._jobs:
            return
        self._worker.write(encode_frame(to_plain(Cancel(handle.number))))
        if not self._ready:  # it may be loading libraries for long, and nothing is lost: nobody has to wait for that
            QTimer.singleShot(0, partial(self._answer, handle.number, STOPPED))

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

    def restart(self) -> None:
        """Forget the crashes, and let the next worker be another one. The one that runs ends once nobody waits for it."""
        self._crashes.clear()
        self._outdated = True
        self._end_outdated()

    def close(self) -> WorkerProcess | None:
        """End the worker without waiting, for good; pending requests fail. The process that is about to end."""
        self._closed = True
        worker = self._part()
        if self._note is not None:
            drop_note(self._note)
        self._fail_all(CLOSED)
        return worker

    # -- the worker --------------------------------------------------------------------------------------------------
    def _start(self) -> Failure | None:
        """Start the worker unless it runs; why that is not possible."""
        if self._worker is not None:
            return None
        if self._closed:
            return CLOSED
        if self.reason:
            remedy = "Look at the log in the diagnostics report, and try again later."
            return Failure(None, "crashed", self.reason, remedy, self._last_log)
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
        self._folders = set()
        self._heard = self._looked = time.monotonic()
        self._note = note_use(python.parent.parent)
        self._worker = WorkerProcess(python, self.role, self.log, self)
        self._worker.received.connect(self._receive)
        self._worker.ended.connect(self._ended)
        self._say("starting")
        return None

    def _part(self) -> WorkerProcess | None:
        """Let go of the worker, which ends in its own time; what it leaves half done is removed then."""
        worker, self._worker = self._worker, None
        if worker is None:
            return None
        worker.received.disconnect(self._receive)
        worker.ended.disconnect(self._ended)
        worker.ended.connect(partial(_clear_after, self.hello, self._folders))
        worker.end()
        return worker if worker.running else None

    def _end_outdated(self) -> None:
        if self._outdated and not self._jobs:
            self._outdated = False
            self._part()
            self._say("stopped")

    def _receive(self, data: bytes) -> None:
        self._heard = time.monotonic()
        for frame in self._reader.feed(data):
            if self._worker is None:  # what came before has ended it
                return
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
            answer = self._with_log(
                Failure(job, "protocol", "The engine's answer does not fit the request.", "Set the engine up again.")
            )
        handle.finish(answer)
        self._end_outdated()

    def _tell_waiting(self, handle: JobHandle) -> None:
        if handle.number in self._jobs and next(iter(self._jobs)) != handle.number:
            handle.progressed.emit(Progress(handle.number, WAITING, 0.0, None))

    def _with_log(self, failure: Failure) -> Failure:
        return replace(failure, log=failure.log or (self._worker.tail if self._worker is not None else ""))

    def _distrust(self, what: str) -> None:
        """The worker cannot be understood: another version, or damaged."""
        self._kill(Failure(None, "protocol", f"The engine {what}.", "Try again; if that does not help, set the engine up again."))

    def _kill(self, verdict: Failure) -> None:
        self._verdict = self._verdict or verdict
        if self._worker is not None:
            self._worker.kill()

    def _ended(self, reason: str) -> None:
        """The worker is gone, whyever: everything pending fails, and one that had been well is started again."""
        verdict, self._verdict = self._verdict or self._explain(reason), None
        if verdict is not _NOT_STOPPED:  # that one was killed for the user, who may do so as often as he likes
            self._crashes.append(time.monotonic())
        verdict = self._with_log(verdict)
        self._last_log = verdict.log
        if self._worker is not None:
            self._worker.deleteLater()
            self._worker = None
        _clear_after(self.hello, self._folders)
        greeted, self._outdated = self.hello is not None, False
        if self.reason:
            QTimer.singleShot(round(1000 * WITHIN_S), self._calm)
        self._say("failed" if self.reason else "stopped")
        self._fail_all(verdict)
        if greeted and verdict.code != "environment" and not self._closed and not self.reason:
            self._start()

    def _explain(self, reason: str) -> Failure:
        if self.hello is None:
            sentence = f"The engine could not be started: {reason}."
            return Failure(None, "environment", sentence, "Set the engine up again, or correct its Python in the settings.")
        sentence = f"The engine stopped while it worked: {reason}."
        return Failure(None, "crashed", sentence, "Try again, with a smaller extent if memory is short; the log panel tells more.")

    def _fail_all(self, failure: Failure) -> None:
        handles, self._jobs = list(self._jobs.values()), {}
        for handle in handles:
            handle.finish(STOPPED if handle.cancel_asked_at is not None else failure)

    def _calm(self) -> None:
        """The crashes lie long enough behind."""
        if self.state == "failed" and not self.reason:
            self._say("stopped")

    def _look(self) -> None:
        """While there is work: is the worker silent, or does it not stop?"""
        now = time.monotonic()
        gap, self._looked = now - self._looked, now
        if not self._jobs:
            self._watch.stop()
        elif gap > 2 * LOOK_S:  # QGIS itself stood still: what the worker said meanwhile is yet to be read
            self._heard = min(now, self._heard + gap)
            for handle in self._jobs.values():
                handle.forgive(now, gap)
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
        self.capabilities: Capabilities | None = None
        self.interactive = Client("interactive", log_of("interactive"), self)
        self.jobs = Client("jobs", log_of("jobs"), self)
        for client in (self.interactive, self.jobs):
            client.capabilities_changed.connect(self._know)
            client.state_changed.connect(self._tell)
        self._folder: Path | None = None
        clear(remove_private_folders_left_behind)
        clear(remove_old_logs, self.interactive.role, self.jobs.role)

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
            self._folder = make_private_folder()
        return self._folder

    def submit(self, request: object) -> JobHandle:
        return self.send(encode_call(request))

    def send(self, call: EncodedCall) -> JobHandle:
        """As `submit`, for a request that was encoded before."""
        client = self.interactive if type(call.request) in INTERACTIVE else self.jobs
        return client.send(call)

    def restart(self) -> None:
        """After the engine was set up or its settings changed: crashes are forgotten, and the next request starts new workers.

        A worker that has work to do finishes that first.
        """
        for client in (self.interactive, self.jobs):
            client.log = log_of(client.role)
            client.restart()

    def close(self) -> None:
        """End both workers. Waits for them only where no event loop comes back: when QGIS itself ends."""
        ending = [worker for client in (self.interactive, self.jobs) if (worker := client.close()) is not None]
        folder, self._folder = self._folder, None
        if folder is not None:
            _remove_after(ending, folder)
        if QThread.currentThread().loopLevel() == 0:
            for worker in ending:
                worker.wait_for_end()
            wait_for_clearing(CLEARING_S)

    def _know(self, capabilities: Capabilities) -> None:
        self.capabilities = capabilities
        self.capabilities_changed.emit(capabilities)

    def _tell(self, state: str) -> None:
        self.state_changed.emit(self.state)


CLOSED = Failure(None, "cancelled", "The engine was closed.", "Start the job again.")
STOPPED = Failure(None, "cancelled", "The job was cancelled.", "Start it again when you like.")
_NOT_STOPPED = Failure(
    None, "crashed", "The engine was stopped, since a cancelled job beside this one did not end.", "Start the job again."
)


def _clear_after(hello: Hello | None, folders: set[Path], reason: str = "") -> None:
    """What a worker that is gone left half done; one that never greeted did nothing."""
    if hello is not None and folders:
        clear(remove_of, hello.pid, folders)


def _remove_after(workers: list[WorkerProcess], folder: Path) -> None:
    """The private folder, once nobody writes into it any more."""
    at_work = set(workers)

    def leave(worker: WorkerProcess, reason: str) -> None:
        at_work.discard(worker)
        if not at_work:
            clear(shutil.rmtree, folder, True)

    for worker in workers:
        worker.ended.connect(partial(leave, worker))
    if not workers:
        clear(shutil.rmtree, folder, True)


def _silent(seconds: float) -> Failure:
    sentence = f"Nothing was heard of the engine for {seconds:.0f} seconds, so it was stopped."
    return Failure(None, "crashed", sentence, "Try again; the log panel tells more.")
