"""Files are removed on threads of their own: gigabytes take a while, and QGIS goes on meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_at_work: set[threading.Thread] = set()


def clear(remove: Callable[..., None], *arguments: object) -> None:
    """Call `remove` in the background."""

    def work() -> None:
        try:
            remove(*arguments)
        finally:
            _at_work.discard(thread)

    thread = threading.Thread(target=work, name="skysense-clearing")
    _at_work.add(thread)
    thread.start()


def wait_for_clearing(seconds: float) -> None:
    """Where no event loop comes back: until all is removed, but no longer than that."""
    end = time.monotonic() + seconds
    for thread in tuple(_at_work):
        thread.join(max(0.0, end - time.monotonic()))
