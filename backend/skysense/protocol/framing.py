"""Frames: bytes to JSON objects and back. No input, no output, so that any transport fits.

    Content-Length: 17\r\n
    \r\n
    {"kind":"Cancel"}

The announced length is checked before anything is kept. After a frame that cannot be used the reader goes on with the
next one where the length still tells where that begins; a broken header leaves nothing to trust, and the reader ends.
"""

from __future__ import annotations

import json

LARGEST_FRAME_BYTES = 16 * 2**20
LARGEST_HEADER_BYTES = 256
_END_OF_HEADER = b"\r\n\r\n"
_LENGTH = b"content-length:"


class FrameError(ValueError):
    """The bytes are no frame."""

    def __init__(self, message: str, fatal: bool) -> None:
        super().__init__(message)
        self.fatal = fatal  # True: the stream cannot be read any further


def encode_frame(plain: dict[str, object]) -> bytes:
    """One frame of a JSON object.

    Raises:
        FrameError: longer than 16 MiB, or with a text that is not Unicode, as names of files can be.
    """
    try:
        body = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")
    except UnicodeEncodeError as error:
        raise FrameError(f"a text holds {error.object[error.start]!a}, which is no character", fatal=False) from error
    if len(body) > LARGEST_FRAME_BYTES:
        raise FrameError(f"a message of {len(body)} bytes, at most {LARGEST_FRAME_BYTES} can be sent", fatal=False)
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


class FrameReader:
    """Takes bytes in any pieces, gives whole frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._length: int | None = None  # of the body that is being received
        self._broken = False

    def feed(self, data: bytes) -> list[dict[str, object] | FrameError]:
        """Take some bytes; the frames that they complete, in order, with an error in the place of an unusable one."""
        if self._broken:
            return []
        self._buffer += data
        frames: list[dict[str, object] | FrameError] = []
        while not self._broken:
            try:
                if self._length is None and not self._read_header():
                    break
                if self._length is None or len(self._buffer) < self._length:
                    break
                frames.append(self._read_body())
            except FrameError as error:
                frames.append(error)
                self._broken = error.fatal
        if self._broken:
            self._buffer.clear()
        return frames

    def _read_header(self) -> bool:
        end = self._buffer.find(_END_OF_HEADER)
        if end > LARGEST_HEADER_BYTES or (end < 0 and len(self._buffer) > LARGEST_HEADER_BYTES):
            raise FrameError(f"no frame header in {LARGEST_HEADER_BYTES} bytes", fatal=True)
        if end < 0:
            return False
        header = bytes(self._buffer[:end]).lower()
        number = header.removeprefix(_LENGTH).strip()
        if not header.startswith(_LENGTH) or not number.isdigit():
            raise FrameError(f"not a frame header: {bytes(self._buffer[: min(end, 60)])!r}", fatal=True)
        if int(number) > LARGEST_FRAME_BYTES:
            raise FrameError(f"a frame of {int(number)} bytes, at most {LARGEST_FRAME_BYTES} are taken", fatal=True)
        del self._buffer[: end + len(_END_OF_HEADER)]
        self._length = int(number)
        return True

    def _read_body(self) -> dict[str, object]:
        length, self._length = self._length, None
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        try:
            plain = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise FrameError(f"the frame holds no JSON: {error}", fatal=False) from error
        if not isinstance(plain, dict):
            raise FrameError(f"the frame holds a {type(plain).__name__}, not an object", fatal=False)
        return plain


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")
