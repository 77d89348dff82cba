"""A pretraining run's folder, as `skysense pretrain` keeps it. Read here; written is only the file that asks the run to stop.

The process that trains and whoever looks on share nothing but this folder: each may end without the other.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import Any

from ..protocol.half_done import alive

STATUS, LOG, SETTINGS, WEIGHTS = "status.json", "log.jsonl", "settings.json", "weights.safetensors"
LOCK, STOP, OUTPUT = "lock", "stop", "output.log"
WORKING = frozenset({"starting", "training", "saving"})
SILENT_S = 60.0  # a status as old as that is believed only if the lock is held: the number may be another process's by now
LARGEST_STATUS_BYTES = 100_000
TAIL_BYTES = 4000


@dataclass(frozen=True)
class RunStatus:
    """How far a run is. States: those of status.json, "new" before the first start, "lost" when its process is gone."""

    state: str
    pid: int = 0
    step: int = 0
    steps: int = 0
    seconds_left: float | None = None
    sentence: str = ""
    remedy: str = ""
    updated: float = 0.0  # unix seconds
    device: str = ""

    @property
    def working(self) -> bool:
        return self.state in WORKING

    @property
    def fraction(self) -> float:
        return min(1.0, self.step / self.steps) if self.steps > 0 else 0.0


@dataclass(frozen=True)
class RunFacts:
    """Of settings.json, for people."""

    preset: str
    steps: int
    batch: int
    start: str  # file of weights; empty: random ones
    shards: tuple[str, ...]  # folders


@dataclass(frozen=True)
class Begun:
    """What was there when a process was started: its own words are told from older ones by it."""

    pid: int
    before: RunStatus | None
    said: int  # bytes of output.log


@dataclass(frozen=True)
class LoggedStep:
    """One line of log.jsonl, as far as it can be read."""

    step: int
    loss: float | None = None
    parts: dict[str, float] = field(default_factory=dict)
    feature_std: dict[str, float] = field(default_factory=dict)
    prototype_entropy: float | None = None
    samples_per_second: float | None = None
    data_wait: float | None = None  # share of the time, 0..1
    flops_share: float | None = None  # of what the device could do, 0..1


def read_status(folder: Path) -> RunStatus | None:
    """What status.json says; None where there is none, or it is no status."""
    try:
        text = (folder / STATUS).read_text(encoding="utf-8")[:LARGEST_STATUS_BYTES]
        said = json.loads(text)
        return RunStatus(
            state=str(said["state"]),
            pid=int(said["pid"]),
            step=int(said.get("step") or 0),
            steps=int(said.get("steps") or 0),
            seconds_left=_number(said.get("seconds_left")),
            sentence=str(said.get("sentence") or ""),
            remedy=str(said.get("remedy") or ""),
            updated=float(said["updated"]),
            device=str(said.get("device") or ""),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def read_facts(folder: Path) -> RunFacts | None:
    """What the run is made of; None where it cannot be told."""
    try:
        said = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        settings = said["settings"]
        start = settings.get("start")
        return RunFacts(
            preset=str(settings["preset"]),
            steps=int(settings["steps"]),
            batch=int(settings["batch"]),
            start=str(start) if start else "",
            shards=tuple(str(path) for path in said["shards"]),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def look(folder: Path, begun: Begun | None = None) -> RunStatus:
    """How far the run is, also where status.json does not say it: not started, just started, or gone without a word.

    Args:
        folder: of the run.
        begun: of the process that the caller has started, if it has.
    """
    status = read_status(folder)
    if begun is not None and status == begun.before:  # it has not said anything yet
        return _without_words(folder, begun)
    if status is None:
        return RunStatus("new")
    if status.working and not _lives(folder, status):
        sentence = "The run was interrupted: its process is gone."
        return replace(status, state="lost", sentence=sentence, remedy="Resume it: it goes on from its last saved state.")
    return status


def ask_to_stop(folder: Path, status: RunStatus) -> None:
    """Let the process save and end. One that is only starting has nothing to save, and would not see the file.

    Raises:
        OSError: the folder cannot be written.
    """
    (folder / STOP).touch()
    if status.state == "starting" and alive(status.pid):
        with suppress(OSError):  # it ends just now
            os.kill(status.pid, signal.SIGTERM)


def stop_was_asked(folder: Path) -> bool:
    return (folder / STOP).exists()


class LogTail:
    """Reads what is new in log.jsonl, a bounded piece at a time."""

    PIECE_BYTES = 2**15  # understood in a few milliseconds

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOG
        self._at = self._file = 0
        self.behind = False  # whether there is more than one piece has held

    def read(self) -> list[LoggedStep]:
        """New whole lines; those that cannot be read are left out. A resumed run writes the file anew: from its beginning."""
        try:
            with self._path.open("rb") as file:
                found = os.fstat(file.fileno())
                if found.st_ino != self._file or found.st_size < self._at:
                    self._file, self._at = found.st_ino, 0
                file.seek(self._at)
                piece = file.read(self.PIECE_BYTES)
        except OSError:  # not there yet
            return []
        self.behind = len(piece) == self.PIECE_BYTES
        whole = piece[: piece.rfind(b"\n") + 1]
        if not whole and self.behind:  # no log of ours
            whole = piece
        self._at += len(whole)
        steps = (_logged(line) for line in whole.splitlines())
        return [step for step in steps if step is not None]


def _without_words(folder: Path, begun: Begun) -> RunStatus:
    before = begun.before or RunStatus("new")
    if alive(begun.pid):
        return RunStatus("starting", begun.pid, before.step, before.steps, sentence="The engine is starting.")
    if stop_was_asked(folder):
        return RunStatus("stopped", 0, before.step, before.steps, sentence="Stopped before it began.")
    sentence, remedy = _last_words(folder, begun.said)
    return RunStatus("failed", 0, before.step, before.steps, sentence=sentence, remedy=remedy)


def _last_words(folder: Path, since: int) -> tuple[str, str]:
    """What the process said at its end: a sentence and a remedy, on two lines, where it could."""
    try:
        with (folder / OUTPUT).open("rb") as file:
            file.seek(max(since, (folder / OUTPUT).stat().st_size - TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        text = ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or "Traceback" in text:
        return "The run ended before it began.", f"Look into {folder / OUTPUT}, and start it again."
    if len(lines) == 1 or lines[-1].startswith("skysense"):  # of the command line's own check
        return lines[-1], ""
    return lines[-2], lines[-1]


def _lives(folder: Path, status: RunStatus) -> bool:
    if not alive(status.pid):
        return False
    return time.time() - status.updated < SILENT_S or _held(folder / LOCK)


def _held(lock: Path) -> bool:
    """Whether a process holds the run's lock. The look itself holds it for a moment, so that it is not for every day."""
    try:
        with lock.open("a") as file:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
            else:
                import fcntl

                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except OSError:
        return True


def _logged(line: bytes) -> LoggedStep | None:
    try:
        said = json.loads(line)
        return LoggedStep(
            step=int(said["step"]),
            loss=_number(said.get("loss")),
            parts=_numbers(said.get("parts")),
            feature_std=_numbers(said.get("feature_std")),
            prototype_entropy=_number(said.get("prototype_entropy")),
            samples_per_second=_number(said.get("samples_per_second")),
            data_wait=_number(said.get("data_wait")),
            flops_share=_number(said.get("flops_share")),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _number(value: Any) -> float | None:
    """A finite number, None for anything else."""
    return float(value) if isinstance(value, int | float) and isfinite(value) else None


def _numbers(values: Any) -> dict[str, float]:
    found = {str(name): _number(value) for name, value in values.items()} if isinstance(values, dict) else {}
    return {name: value for name, value in found.items() if value is not None}
