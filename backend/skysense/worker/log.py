"""The worker's log: to stderr, where the client keeps it, and the last lines in memory for failures."""

from __future__ import annotations

import logging
from collections import deque

TAIL_LINES = 60
TAIL_CHARACTERS = 16_000  # a failure has to fit into a frame, whatever was logged


class Tail(logging.Handler):
    """Remembers the last lines."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[str] = deque(maxlen=TAIL_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.extend(self.format(record).splitlines())

    def text(self) -> str:
        return "\n".join(self._lines)[-TAIL_CHARACTERS:]


def start(level: int = logging.INFO) -> Tail:
    """Send everything that is logged, warnings included, to stderr and into a tail."""
    tail = Tail()
    form = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%d %H:%M:%S")
    tail.setFormatter(form)
    stream = logging.StreamHandler()
    stream.setFormatter(form)
    logging.basicConfig(level=level, handlers=[stream, tail], force=True)
    logging.captureWarnings(True)
    return tail
