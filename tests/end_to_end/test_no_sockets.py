"""During jobs neither QGIS nor its workers listen on a port or open a connection."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from every_job import draw_labels, requests

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def network_sockets(pid: int) -> set[str]:
    """The lines of the kernel's tables that belong to a socket which the process holds."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(descriptor)
        except FileNotFoundError:  # closed just now
            continue
        if target.startswith("socket:["):
            inodes.add(target.removeprefix("socket:[").removesuffix("]"))
    found = set()
    for table in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
        path = Path(f"/proc/{pid}/net/{table}")
        for line in path.read_text().splitlines()[1:] if path.exists() else []:
            if line.split()[9] in inodes:
                found.add(f"{table} {line.strip()}")
    return found


def test_a_socket_would_be_seen():
    import socket

    before = network_sockets(os.getpid())
    with socket.create_server(("127.0.0.1", 0)):
        assert len(network_sockets(os.getpid()) - before) == 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        assert len(network_sockets(os.getpid()) - before) == 1


def test_no_job_opens_one(qgis_app, tmp_path, wait, monkeypatch):
    from skysense_qgis.client import client as module
    from skysense_qgis.client import logs
    from skysense_qgis.protocol.messages import Failure

    monkeypatch.setattr(logs, "log_folder", lambda: tmp_path / "logs")
    engine = module.Engine()
    before = network_sockets(os.getpid())
    opened: set[str] = set()
    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1
        opened.update(network_sockets(os.getpid()) - before)
        for client in (engine.interactive, engine.jobs):
            if client.pid:
                opened.update(network_sockets(client.pid))

    try:
        for name, request in requests(tmp_path, draw_labels(tmp_path)).items():
            answers: list = []
            handle = engine.submit(replace(request, steps=5) if name == "train" else request)
            handle.done.connect(answers.append)
            handle.failed.connect(answers.append)
            wait(lambda answers=answers: look() or answers, 120)
            assert not isinstance(answers[0], Failure), (name, answers[0])
        assert engine.interactive.pid and engine.jobs.pid and looks > 100
        assert not opened
    finally:
        engine.close()
