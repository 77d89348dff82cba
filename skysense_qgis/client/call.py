"""A request as the bytes of its call. Made on any thread: a large one takes a while, and QGIS need not wait for it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from ..protocol.framing import FrameError, encode_frame
from ..protocol.messages import Call, Failure
from ..protocol.records import RecordError, to_plain

_numbers = itertools.count(1)  # of all jobs of this process: threads may count at the same time


@dataclass(frozen=True)
class EncodedCall:
    """What is sent for a request, or why it cannot be sent."""

    number: int
    request: object
    frame: bytes
    refusal: Failure | None = None


def encode_call(request: object) -> EncodedCall:
    number = next(_numbers)
    try:
        return EncodedCall(number, request, encode_frame(to_plain(Call(number, request))))
    except (FrameError, RecordError) as error:
        remedy = "Choose fewer layers or points, and names of files without odd characters."
        return EncodedCall(number, request, b"", Failure(number, "bad-request", f"The request cannot be sent: {error}.", remedy))
