"""Half-done files: hidden folders beside the outputs, named by the process that fills them.

    .features.9f86d081-4242.k3j2h1.partial

The worker makes them, and so both ends of the pipe know which ones a dead process left behind. What belongs to a living
process is never touched: another window may be writing beside.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path

PATTERN = ".*.partial"
LEFT_BEHIND_S = 3600  # untouched for so long, a folder of another machine on a shared disk belongs to nobody any more
_OWNER = re.compile(r"\.([0-9a-f]{8}-(\d+))\.\w+(?:\.partial)?$")


def affixes(stem: str) -> tuple[str, str]:
    """What the name of this process's half-done folder for an output begins and ends with."""
    return f".{stem[:40]}.{mark(os.getpid())}.", ".partial"


def mark(pid: int) -> str:
    """A process of this machine, as it stands between the dots of a folder's name."""
    return f"{_machine()}-{pid}"


def of_this_machine(path: Path) -> bool:
    """Whether the name tells a process whose number means something here."""
    owner = _OWNER.search(path.name)
    return owner is not None and owner[1] == mark(int(owner[2]))


def of_dead_process(path: Path) -> bool:
    """Whether the name tells a process of this machine that is gone."""
    owner = _OWNER.search(path.name)
    return owner is not None and of_this_machine(path) and not alive(int(owner[2]))


def remove_left_behind(parent: Path) -> None:
    """Remove half-done folders of processes that are gone; those of other machines once nobody has written for long."""
    for folder in parent.glob(PATTERN):
        if _OWNER.search(folder.name) is None:
            continue
        if of_dead_process(folder) if of_this_machine(folder) else _untouched(folder):
            shutil.rmtree(folder, ignore_errors=True)


def remove_of(pid: int, parents: Iterable[Path]) -> None:
    """Remove the half-done folders of one process, of which the caller knows that it is gone, or is itself."""
    for parent in parents:
        for folder in parent.glob(PATTERN):
            owner = _OWNER.search(folder.name)
            if owner is not None and owner[1] == mark(pid):
                shutil.rmtree(folder, ignore_errors=True)


def parents_of(request: object) -> set[Path]:
    """The folders that a request names files in: half-done ones of its outputs lie there."""
    if not dataclasses.is_dataclass(request):
        return set()
    values = {field.name: getattr(request, field.name) for field in dataclasses.fields(request)}
    return {Path(value).parent for name, value in values.items() if name.endswith("_path") and isinstance(value, str)}


def alive(pid: int) -> bool:
    """Whether there is a process of this number."""
    if sys.platform == "win32":  # where os.kill would end it
        import ctypes

        synchronize, still_running = 0x100000, 0x102
        handle = ctypes.windll.kernel32.OpenProcess(synchronize, False, pid)
        if not handle:
            return False
        running = ctypes.windll.kernel32.WaitForSingleObject(handle, 0) == still_running
        ctypes.windll.kernel32.CloseHandle(handle)
        return bool(running)
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # of another user
        return True
    return True


@functools.cache
def _machine() -> str:
    """Where process numbers mean the same: this machine since it was started, and inside of its container."""
    facts = [platform.node()]
    try:
        facts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
        facts.append(os.readlink("/proc/self/ns/pid"))
    except OSError:  # not on Linux
        pass
    return hashlib.sha256("\n".join(facts).encode("utf-8", "replace")).hexdigest()[:8]


def _untouched(folder: Path) -> bool:
    try:
        last = max(part.stat().st_mtime for part in (folder, *folder.iterdir()))
    except OSError:  # it goes just now
        return False
    return time.time() - last > LEFT_BEHIND_S
