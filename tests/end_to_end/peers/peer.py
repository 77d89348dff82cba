"""What every misbehaving worker needs. Frames are written by hand: these peers do not know our code."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator

print(f"started {os.getpid()}", file=sys.stderr, flush=True)


def frame(message: dict) -> bytes:
    body = json.dumps(message).encode()
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


def send(data: bytes | dict) -> None:
    os.write(1, frame(data) if isinstance(data, dict) else data)


def hello(protocol: int = 1) -> None:
    send({"kind": "Hello", "protocol": protocol, "product": "0", "python": "3", "packages": [], "jobs": [], "pid": os.getpid()})


def capabilities() -> None:
    device = {"key": "cpu", "label": "CPU", "memory_bytes": 1, "free_bytes": 1, "usable": True, "reason": ""}
    send({"kind": "Capabilities", "devices": [device], "default_device": "cpu", "models": []})


def models(job: int) -> dict:
    """The answer to ListModels."""
    return {"kind": "Result", "job": job, "result": {"kind": "ModelList", "models": []}}


def messages() -> Iterator[dict]:
    """Calls and cancels until the end of input; each is logged."""
    while header := sys.stdin.buffer.readline():
        sys.stdin.buffer.readline()
        message = json.loads(sys.stdin.buffer.read(int(header.split(b":")[1])))
        print(f"took {message['kind']}", file=sys.stderr, flush=True)
        yield message
