"""The real worker with jobs of the tests in it: what DescribeRaster's path says, and EmbedScene, which gets stuck.

Run as a program in the place of backend/__main__.py.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "backend"))

from skysense.cli import main
from skysense.jobs import table
from skysense.jobs.report import Report
from skysense.protocol.messages import Series
from skysense.protocol.requests import CloseView, DescribeRaster, EmbedScene, ViewClosed
from skysense.scene.write import partial_folder


def run(request: DescribeRaster | EmbedScene, report: Report) -> ViewClosed:
    if isinstance(request, EmbedScene):
        stuck(request.output_path, report)
    kind, _, argument = request.path.partition(" ")
    {"print": chatter, "fault": fault, "memory": memory, "points": points, "deaf": deaf, "tidy": tidy, "large": large}[kind](
        argument, report
    )
    return ViewClosed(kind)


def chatter(_: str, report: Report) -> None:
    """As libraries do it, in Python and below."""
    print("Content-Length: 2\r\n\r\n{}", flush=True)
    os.write(1, b"native noise\n")
    sys.stderr.write("stderr noise\n")


def fault(_: str, report: Report) -> None:
    raise ValueError("the secret inside")


def memory(_: str, report: Report) -> None:
    raise MemoryError


def points(argument: str, report: Report) -> None:
    """So many points as fast as it goes, then perhaps a fault."""
    count, _, ends = argument.partition(" ")
    for step in range(int(count)):
        report.progress(step / int(count), "Training", points=(Series("loss", step, 1.0),))
    if ends:
        raise ValueError(ends)


def deaf(seconds: str, report: Report) -> None:
    """Does not look whether it should stop."""
    report.progress(0.1, "Deaf")
    time.sleep(float(seconds))


def tidy(path: str, report: Report) -> None:
    """Holds a file until it is stopped, and needs half a second to clean up."""
    file = Path(path)
    file.write_text("half done")
    try:
        for _ in range(600):
            report.progress(0.1, "Holding")
            time.sleep(0.1)
    finally:
        time.sleep(0.5)
        file.unlink()


def stuck(path: str, report: Report) -> None:
    """Has a file half done and does not come back, as native code may."""
    with partial_folder(Path(path)) as folder:
        (Path(folder) / "draft").write_text("half done")
        report.progress(0.1, "Stuck")
        time.sleep(60)


def large(_: str, report: Report) -> None:
    """Logs more than a frame may hold, in one line, and fails."""
    raise ValueError("x" * (20 * 2**20))


if __name__ == "__main__":
    sys.modules["own_jobs"] = sys.modules["__main__"]
    table.JOBS = {DescribeRaster: "own_jobs", EmbedScene: "own_jobs", CloseView: "skysense.jobs.close_view"}
    raise SystemExit(main())
