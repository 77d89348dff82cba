"""A request that is waited for: for Processing algorithms, on whatever thread they run."""

from __future__ import annotations

import threading
import time
import traceback

from qgis.PyQt import sip
from qgis.PyQt.QtCore import QEventLoop, QObject, QThread, QTimer, pyqtSignal, pyqtSlot

from ..protocol.messages import Failure, Progress
from .call import EncodedCall, encode_call
from .client import CLOSED, STOPPED, Client, Engine, JobHandle

POLL_MS = 50
GIVE_UP_S = 10.0  # after a cancel that nobody answered: QGIS is ending and its event loop does not come back


class RequestFailed(Exception):
    """The engine's failure, for whoever shows it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.sentence} {failure.remedy}")
        self.failure = failure


def run_request(engine: Engine | Client, request: object, feedback) -> object:
    """Submit, pass progress and cancel between job and feedback, return the result.

    On the engine's own thread (qgis_process) a local event loop runs; from another one (QGIS's background tasks) the
    request is encoded here, handed to the engine's thread and waited for.

    Raises:
        RequestFailed: the job failed or was cancelled, or the plugin was unloaded.
    """
    waiter = _Waiter(engine, encode_call(request), feedback)
    try:
        home = engine.thread()
    except RuntimeError:  # the engine's C++ part is gone: an algorithm outlived the plugin
        raise RequestFailed(CLOSED) from None
    if QThread.currentThread() == home:
        waiter.run_here()
    else:
        waiter.moveToThread(home)
        waiter.asked.emit()
        waiter.wait()
    if waiter.failure is not None:
        raise RequestFailed(waiter.failure)
    return waiter.result


class _Waiter(QObject):
    asked = pyqtSignal()

    def __init__(self, engine: Engine | Client, call: EncodedCall, feedback) -> None:
        super().__init__()
        self._engine, self._call, self._feedback = engine, call, feedback
        self._stage = ""
        self._loop: QEventLoop | None = None
        self._handle: JobHandle | None = None
        self._timer: QTimer | None = None
        self.over = threading.Event()
        self.result: object = None
        self.failure: Failure | None = None
        self.asked.connect(self._begin)

    def run_here(self) -> None:
        self._loop = QEventLoop()
        self._begin()
        if not self.over.is_set():
            self._loop.exec()

    def wait(self) -> None:
        """From another thread than the engine's."""
        asked: float | None = None
        while not self.over.wait(POLL_MS / 1000):
            if self._feedback is not None and self._feedback.isCanceled():
                asked = asked or time.monotonic()
                if time.monotonic() - asked > GIVE_UP_S:
                    self.failure = STOPPED
                    return

    @pyqtSlot()  # without it PyQt delivers to the thread that connected, not to the one that this object was moved to
    def _begin(self) -> None:
        try:
            self._submit()
        except Exception as error:  # nobody would hear of it here, and the other thread waits
            sentence = f"The request could not be handed over: {type(error).__name__}."
            fault = Failure(None, "internal", sentence, "Try again; if it happens again, restart QGIS.", traceback.format_exc())
            self._failed(CLOSED if sip.isdeleted(self._engine) else fault)

    def _submit(self) -> None:
        self._handle = self._engine.send(self._call)
        self._handle.progressed.connect(self._progress)
        self._handle.done.connect(self._done)
        self._handle.failed.connect(self._failed)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._look)
        self._timer.start(POLL_MS)

    def _look(self) -> None:
        if self._feedback is not None and self._feedback.isCanceled() and self._handle is not None:
            self._handle.cancel()

    def _progress(self, progress: Progress) -> None:
        if self._feedback is None:
            return
        self._feedback.setProgress(100 * progress.fraction)
        if progress.stage != self._stage:
            self._stage = progress.stage
            self._feedback.pushInfo(progress.stage)

    def _done(self, result: object) -> None:
        self.result = result
        self._end()

    def _failed(self, failure: Failure) -> None:
        self.failure = failure
        self._end()

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.deleteLater()
        self.over.set()
        if self._loop is not None:
            self._loop.quit()
