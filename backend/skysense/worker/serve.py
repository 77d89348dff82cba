"""The worker process: greets at once, then answers each call exactly once.

Threads: the main one runs jobs, one reads (and acknowledges cancels at once), one beats each second and watches the
parent, one takes the signal to terminate. That signal, the end of input, or another parent ends the process; a job at
work gets two seconds to clean up, and what it has half done then is removed.
"""

from __future__ import annotations

import importlib.metadata
import logging
import os
import platform
import signal
import sys
import threading
import time

from skysense import __version__
from skysense.errors import Cancelled, InternalError, SkySenseError
from skysense.jobs import table
from skysense.protocol.framing import FrameError
from skysense.protocol.half_done import remove_of
from skysense.protocol.messages import (
    PROTOCOL,
    Call,
    Cancel,
    CancelReceived,
    Failure,
    Heartbeat,
    Hello,
    Result,
)
from skysense.protocol.records import from_plain
from skysense.protocol.requests import REQUESTS, RESULTS
from skysense.worker import log as worker_log
from skysense.worker.channel import Channel
from skysense.worker.work import ChannelReport, WorkQueue

GRACE_S = 2.0  # for a job to clean up after itself
BEAT_S = 1.0
IDLE_S = 600.0  # without a call, until the weights are dropped
PACKAGES = ("torch", "timm", "rasterio", "numpy", "scikit-image", "opencv-python-headless")

log = logging.getLogger("skysense.worker")


def serve(role: str) -> int:
    """Run until the input ends; returns the exit code.

    Args:
        role: "interactive" or "jobs", for the log; the command line has chosen the number of threads by it.
    """
    channel = Channel()
    _no_core_dumps()
    _scrub_environment()
    tail = worker_log.start()
    channel.send(_hello())
    log.info("worker for %s, process %d", role, os.getpid())
    queue = WorkQueue()
    _watch_for_termination(queue)
    threading.Thread(target=_read, args=(channel, queue, tail), daemon=True, name="reader").start()
    threading.Thread(target=_beat, args=(channel, queue), daemon=True, name="heart").start()
    threading.Thread(target=_tell_capabilities, args=(channel, tail), daemon=True, name="capabilities").start()
    while (call := queue.take(_drop_weights, IDLE_S)) is not None:
        _answer(call, channel, queue, tail)
    return 0


def _drop_weights() -> None:
    """Nobody has asked for anything for long: the memory is for others. A worker that loaded no encoder stays as it is."""
    encoders = sys.modules.get("skysense.jobs.encoders")
    if encoders is not None:
        encoders.drop()


def _hello() -> Hello:
    packages = []
    for name in PACKAGES:
        try:
            packages.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            packages.append((name, "missing"))
    return Hello(PROTOCOL, __version__, platform.python_version(), tuple(packages), tuple(REQUESTS), os.getpid())


def _answer(call: Call, channel: Channel, queue: WorkQueue, tail: worker_log.Tail) -> None:
    report = ChannelReport(call.job, channel, queue)
    name = type(call.request).__name__
    started = time.monotonic()
    try:
        report.progress(0.0, "Starting")
        try:
            result = table.load(type(call.request))(call.request, report)
        finally:
            report.finish()
        channel.send(Result(call.job, result))
        log.info("%s: done in %.1f s", name, time.monotonic() - started)
    except SkySenseError as error:
        log.info("%s: %s (%s)", name, error.sentence, error.code)
        channel.send(Failure(call.job, error.code, error.sentence, error.remedy, tail.text()))
    except Exception as error:  # whatever a job does, the call is answered
        log.exception("%s failed", name)
        fault = InternalError(
            f"The engine failed while it worked on {name}: {type(error).__name__}.",
            "Try again; if it happens again, send the diagnostics report to the developers.",
        )
        channel.send(Failure(call.job, fault.code, fault.sentence, fault.remedy, tail.text()))
    finally:
        queue.forget(call.job)


def _read(channel: Channel, queue: WorkQueue, tail: worker_log.Tail) -> None:
    """Whatever comes, or goes wrong with it: a worker that no longer reads ends."""
    try:
        for frame in channel.frames():
            _take(frame, channel, queue, tail)
    except Exception:
        log.exception("The reader failed")
    finally:
        _end(queue)


def _take(frame: dict[str, object] | FrameError, channel: Channel, queue: WorkQueue, tail: worker_log.Tail) -> None:
    if isinstance(frame, FrameError):
        _refuse(channel, f"A frame could not be read: {frame}.", tail)
        return
    try:
        message = from_plain(frame)
    except Exception as error:  # a RecordError, or a value that nobody thought of
        job = frame.get("job")
        _refuse(channel, f"A message could not be read: {error}.", tail, job if type(job) is int else None)
        return
    if isinstance(message, Cancel):
        channel.send(CancelReceived(message.job))
        if queue.cancel(message.job):
            stopped = Cancelled()
            channel.send(Failure(message.job, stopped.code, stopped.sentence, stopped.remedy))
    elif isinstance(message, Call) and type(message.request) in RESULTS:
        queue.put(message)
    else:
        _refuse(channel, f"A worker takes calls and cancels, not {type(message).__name__}.", tail)


def _refuse(channel: Channel, sentence: str, tail: worker_log.Tail, job: int | None = None) -> None:
    log.warning(sentence)
    remedy = "The plugin and its engine may be of different versions: set the engine up again."
    channel.send(Failure(job, "protocol", sentence, remedy, tail.text()))


def _end(queue: WorkQueue) -> None:
    """Let the job at work clean up, then go, whatever it does."""
    queue.end()
    deadline = time.monotonic() + GRACE_S
    while queue.working_on is not None and time.monotonic() < deadline:
        time.sleep(0.02)
    if queue.working_on is not None:
        remove_of(os.getpid(), queue.folders)
    os._exit(0)


def _watch_for_termination(queue: WorkQueue) -> None:
    """In a thread, since the main one may be in native code for long; all that start later must not take the signal."""
    if sys.platform != "win32":  # whose processes are killed at once
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

        def wait() -> None:
            signal.sigwait({signal.SIGTERM})
            _end(queue)

        threading.Thread(target=wait, daemon=True, name="termination").start()


def _beat(channel: Channel, queue: WorkQueue) -> None:
    parent = os.getppid()
    while True:
        time.sleep(BEAT_S)
        if os.getppid() != parent:
            _end(queue)
        if queue.working_on is not None:
            channel.send(Heartbeat(busy=True))


def _tell_capabilities(channel: Channel, tail: worker_log.Tail) -> None:
    try:
        from skysense.jobs.capabilities import capabilities

        channel.send(capabilities())
    except Exception:  # said once, in words: without torch no job can run
        log.exception("The engine's libraries could not be loaded")
        channel.send(
            Failure(None, "environment", "The engine's libraries could not be loaded.", "Set the engine up again.", tail.text())
        )


def _no_core_dumps() -> None:
    """A core of this process would be gigabytes of somebody's imagery."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _scrub_environment() -> None:
    """Before GDAL is loaded: nothing from outside decides where it finds drivers and data."""
    for name in list(os.environ):
        if name.startswith(("GDAL_", "PROJ_", "OGR_", "CPL_")):
            del os.environ[name]
