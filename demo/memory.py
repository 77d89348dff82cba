"""Peak memory of a process with all that it started: what /proc tells, looked up while it runs."""

from __future__ import annotations

import os
import threading
from pathlib import Path

INTERVAL_S = 0.05
PROC = Path("/proc")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class PeakMemory:
    """The largest sum of resident memory over the process tree, in MB, while the block runs.

    Pages that processes share (libraries, for instance) are counted in each of them: the figure is an upper bound.
    What comes and goes within a twentieth of a second is missed.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.mb = 0.0

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.mb = max(self.mb, sum(_resident_mb(pid) for pid in tree(self._pid)))
            if self._stop.wait(INTERVAL_S):
                return


def tree(root: int) -> set[int]:
    """The process and its descendants; those whose parent has ended no longer count."""
    parents = {int(entry.name): _parent(entry) for entry in PROC.iterdir() if entry.name.isdigit()}
    found, grew = {root}, True
    while grew:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found, grew = found | more, bool(more)
    return found


def _parent(entry: Path) -> int:
    try:
        text = (entry / "stat").read_text()
    except OSError:  # it has ended
        return 0
    return int(text.rpartition(")")[2].split()[1])  # the name before may hold blanks and brackets


def _resident_mb(pid: int) -> float:
    try:
        return int((PROC / str(pid) / "statm").read_text().split()[1]) * PAGE_BYTES / 2**20
    except (OSError, IndexError):
        return 0.0
