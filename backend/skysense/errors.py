"""The error tree. Each class has a code that crosses the process unchanged; each error a sentence and a remedy.

SkySenseError
├── Cancelled            cancelled        the user stopped it
├── RequestError         bad-request      a field of the request makes no sense
├── ProtocolError        protocol         frames or records that cannot be read
├── RasterError          raster           a raster cannot be opened, read or used
│   ├── BandError        bands            bands missing or of the wrong kind
│   ├── GridError        grid             extents, CRS or pixel grids that do not meet
│   └── DateError        no-date          a date is missing or impossible
├── OutputError          output           the result cannot be written
├── LabelError           labels           training labels that cannot be used
├── ShardError           shards           training data that cannot be read
├── PromptError          prompt           a prompt outside the view, a view that is gone
├── ModelError           model            weights missing, damaged or of another kind
├── DeviceError          device           the device is not there or has not enough memory
└── InternalError        internal         our own fault: the log keeps the traceback

Two codes have no class, since nothing of the engine could raise them: `environment`, the engine's libraries cannot be
loaded, and `crashed`, which the plugin says of an engine that ended.
"""

from __future__ import annotations


def ran_out_of_memory(error: BaseException) -> bool:
    """PyTorch has a class of its own for GPUs only; the CPU's allocator raises a plain RuntimeError."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


class SkySenseError(Exception):
    """What was expected and what came (`sentence`), and what to do (`remedy`)."""

    code = "error"

    def __init__(self, sentence: str, remedy: str) -> None:
        super().__init__(f"{sentence} {remedy}")
        self.sentence = sentence
        self.remedy = remedy


class Cancelled(SkySenseError):
    code = "cancelled"

    def __init__(self, sentence: str = "The job was cancelled.", remedy: str = "Start it again when you like.") -> None:
        super().__init__(sentence, remedy)


class RequestError(SkySenseError):
    code = "bad-request"


class ProtocolError(SkySenseError):
    code = "protocol"


class RasterError(SkySenseError):
    code = "raster"


class BandError(RasterError):
    code = "bands"


class GridError(RasterError):
    code = "grid"


class DateError(RasterError):
    code = "no-date"


class OutputError(SkySenseError):
    code = "output"


class LabelError(SkySenseError):
    code = "labels"


class ShardError(SkySenseError):
    code = "shards"


class PromptError(SkySenseError):
    code = "prompt"


class ModelError(SkySenseError):
    code = "model"


class DeviceError(SkySenseError):
    code = "device"


class InternalError(SkySenseError):
    code = "internal"
