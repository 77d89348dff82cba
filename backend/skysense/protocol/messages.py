"""What travels over the pipe. Client to worker: Call, Cancel. Worker to client: all the others.

Order of a session: Hello at once (before any heavy import), Capabilities when torch is up, then for each Call any
number of Progress and exactly one of Result or Failure, also when it was cancelled. Heartbeats each second while a
call is at work.
"""

from __future__ import annotations

from dataclasses import dataclass

PROTOCOL = 1


@dataclass(frozen=True)
class Hello:
    protocol: int
    product: str  # version of skysense
    python: str
    packages: tuple[tuple[str, str], ...]  # name, version
    jobs: tuple[str, ...]  # names of the requests it answers
    pid: int


@dataclass(frozen=True)
class Device:
    key: str  # "cpu", "cuda", "cuda:1"
    label: str
    memory_bytes: int
    free_bytes: int
    usable: bool
    reason: str  # why it is not usable; "" where it is


@dataclass(frozen=True)
class Capabilities:
    devices: tuple[Device, ...]
    default_device: str
    models: tuple[str, ...]  # keys of the encoders whose weights are there


@dataclass(frozen=True)
class Call:
    job: int  # chosen by the client, never used twice in a session
    request: object  # one of protocol.requests.REQUESTS


@dataclass(frozen=True)
class Cancel:
    job: int


@dataclass(frozen=True)
class CancelReceived:
    """Sent at once by the reading thread, whatever the job is doing."""

    job: int


@dataclass(frozen=True)
class Series:
    """One point of a live curve: the training dialog draws them."""

    name: str  # "loss", "mean IoU"
    step: int
    value: float


@dataclass(frozen=True)
class Progress:
    job: int
    stage: str  # for people: "Reading", "Encoding tiles"
    fraction: float  # 0..1 over the whole job
    seconds_left: float | None
    detail: str = ""  # device, batch, free memory: one short line
    points: tuple[Series, ...] = ()


@dataclass(frozen=True)
class Result:
    job: int
    result: object  # the RESULTS record of the request


@dataclass(frozen=True)
class Failure:
    job: int | None  # None: the session itself failed
    code: str  # of skysense.errors: "no-date", "cancelled"
    sentence: str  # what was expected and what came
    remedy: str  # what to do
    log: str = ""  # the log's tail, for the log panel and the report


@dataclass(frozen=True)
class Heartbeat:
    busy: bool


MESSAGES: dict[str, type] = {
    message.__name__: message
    for message in (Hello, Capabilities, Call, Cancel, CancelReceived, Progress, Result, Failure, Heartbeat)
}
