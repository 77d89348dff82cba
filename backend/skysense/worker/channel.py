"""The worker's end of the pipe. What libraries print goes to stderr, and none of them reads our input."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator

from skysense.protocol.framing import FrameError, FrameReader, encode_frame
from skysense.protocol.records import to_plain

READ_BYTES = 65536


class Channel:
    """Sends records from any thread, reads frames in one."""

    def __init__(self) -> None:
        self._in, self._out = os.dup(0), os.dup(1)  # not inherited by processes that a library may start
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)  # also what native libraries print
        sys.stdout = sys.stderr
        self._lock = threading.Lock()

    def send(self, record: object) -> None:
        """Write one record; the client being gone is not an error, the reading side ends the worker."""
        frame = encode_frame(to_plain(record))
        with self._lock:
            try:
                view = memoryview(frame)
                while view:
                    view = view[os.write(self._out, view) :]
            except BrokenPipeError:
                return

    def frames(self) -> Iterator[dict[str, object] | FrameError]:
        """Frames until the end of input or until nothing can be read any more."""
        reader = FrameReader()
        while data := os.read(self._in, READ_BYTES):
            for frame in reader.feed(data):
                yield frame
                if isinstance(frame, FrameError) and frame.fatal:
                    return
