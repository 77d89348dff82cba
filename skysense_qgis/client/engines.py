"""Which environments of the engine are in use: each QGIS leaves a note in the one that it starts workers from, and one for
each pretraining run, which may outlive it.

Another window may run another version of the plugin, with an environment of its own in the same cache folder.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from ..protocol.half_done import mark, of_dead_process, of_this_machine

PREFIX = "engine-"
NOTES = "used-by"
UNKNOWN_S = 7 * 86400  # a note from another machine, or from before this one was started, counts for so long


def note_use(home: Path, pid: int | None = None) -> Path | None:
    """Say that a process, this one or another, uses an environment; the note, None for one that the plugin has not made."""
    if not home.name.startswith(PREFIX):
        return None
    note = home / NOTES / f"qgis.{mark(pid or os.getpid())}.note"
    with suppress(OSError):  # it goes just now: the worker will not start, and says so
        note.parent.mkdir(exist_ok=True)
        note.touch()
    return note


def drop_note(note: Path) -> None:
    with suppress(OSError):
        note.unlink(missing_ok=True)


def in_use(home: Path) -> bool:
    """Whether a process that lives has left a note, or one of which nobody knows, not long ago."""
    return any(_counts(note) for note in (home / NOTES).glob("qgis.*.note"))


def _counts(note: Path) -> bool:
    if of_this_machine(note):
        return not of_dead_process(note)
    try:
        return time.time() - note.stat().st_mtime < UNKNOWN_S
    except OSError:  # dropped just now
        return False
