"""The session: hello, capabilities, answers, refusals."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest

from skysense import __version__
from skysense.protocol.framing import LARGEST_FRAME_BYTES, encode_frame
from skysense.protocol.messages import PROTOCOL, Capabilities, Failure, Heartbeat, Hello, Progress, Result
from skysense.protocol.records import to_plain
from skysense.protocol.requests import REQUESTS, DescribeRaster, FeatureMapWritten, RasterDescription

BACKEND = Path(__file__).resolve().parents[3] / "backend"
DATA = Path(__file__).resolve().parents[2] / "data"
IMAGE = str(DATA / "naip_wetlands/NAIP_20090818.tif")


def test_hello_comes_before_anything_heavy_is_loaded(start):
    worker = start()
    at, hello = worker.wait(lambda message: True)
    assert isinstance(hello, Hello) and at - worker.started < 3.0
    assert (hello.protocol, hello.product, hello.python) == (PROTOCOL, __version__, platform.python_version())
    assert hello.pid == worker.process.pid and set(hello.jobs) == set(REQUESTS)
    assert dict(hello.packages)["torch"] == importlib.metadata.version("torch")
    _, capabilities = worker.wait_for(Capabilities)
    assert capabilities.devices[0].key == "cpu" and capabilities.devices[0].usable
    assert capabilities.default_device in {device.key for device in capabilities.devices}
    assert 0 < capabilities.devices[0].free_bytes <= capabilities.devices[0].memory_bytes
    assert "skysense-nano" in capabilities.models


def test_the_hello_needs_no_numeric_library():
    code = f"import sys; sys.path.insert(0, {str(BACKEND)!r}); import skysense.cli, skysense.worker.serve; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert "skysense.worker.serve" in done.stdout.split()
    assert not {"torch", "numpy", "rasterio", "timm"} & set(done.stdout.split())


def test_a_call_gives_progress_and_one_answer(worker, short_job):
    job = worker.call(short_job)
    _, progress = worker.wait_for(Progress, job=job)
    assert progress.stage == "Starting" and progress.fraction == 0.0
    _, result = worker.wait_for(Result, job=job)
    assert isinstance(result.result, FeatureMapWritten) and Path(result.result.path).stat().st_size > 0
    assert not worker.rest(1.2)


def test_progress_never_falls_comes_ten_times_a_second_at_most_and_beside_it_a_heartbeat(worker, long_job):
    job = worker.call(long_job)
    worker.wait_for(Progress, job=job, stage="Encoding tiles")
    began, seen, beats = time.monotonic(), [], 0
    while time.monotonic() - began < 3.0:
        _, message = worker.wait(lambda message: isinstance(message, (Progress, Heartbeat)))
        if isinstance(message, Progress):
            seen.append(message)
        else:
            beats += 1
            assert message.busy
    worker.cancel(job)
    worker.wait_for(Failure, job=job)
    assert 2 <= beats <= 4 and 0 < len(seen) <= 33
    assert [p.fraction for p in seen] == sorted(p.fraction for p in seen)
    assert all(p.seconds_left is not None and p.seconds_left > 0 for p in seen)


def test_expected_failures_name_the_remedy_and_carry_the_log(worker):
    job = worker.call(DescribeRaster("/nowhere/at all.tif"))
    _, failure = worker.wait_for(Failure, job=job)
    assert failure.code == "raster" and "at all.tif" in failure.sentence and failure.remedy
    assert "DescribeRaster" in failure.log


def test_an_unknown_request_is_refused_and_the_next_is_answered(worker):
    worker.write(encode_frame({"kind": "Call", "job": 900, "request": {"kind": "RunThis", "code": "1"}}))
    _, failure = worker.wait_for(Failure, job=900)
    assert failure.code == "protocol" and "RunThis" in failure.sentence
    plain = to_plain(DescribeRaster(IMAGE))
    worker.write(encode_frame({"kind": "Call", "job": 901, "request": {**plain, "extra": 1}}))
    _, failure = worker.wait_for(Failure, job=901)
    assert "extra" in failure.sentence
    worker.write(encode_frame(to_plain(Hello(1, "", "", (), (), 1))))
    _, failure = worker.wait_for(Failure, job=None)
    assert "Hello" in failure.sentence
    assert _describe(worker)[1].result.path == IMAGE


@pytest.mark.parametrize("body", [b"\xff\xfe", b"{", b"[]", b'{"kind": "Call", "job": NaN}'])
def test_a_frame_that_is_no_json_is_refused_and_the_next_is_read(worker, body):
    worker.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
    _, failure = worker.wait_for(Failure, job=None)
    assert failure.code == "protocol" and failure.remedy
    assert isinstance(_describe(worker)[1].result, RasterDescription)


def test_messages_that_nobody_thought_of_leave_the_reader_at_work(worker):
    deep = b'{"kind":"Call","job":1,"request":' * 400 + b'{"kind":"CloseView","view":"x"}' + b"}" * 400
    large = b'{"kind":"Progress","job":7,"stage":"x","fraction":1%s,"seconds_left":null,"detail":"","points":[]}' % (b"0" * 400)
    for body, job in ((deep, 1), (large, 7)):
        worker.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        _, failure = worker.wait_for(Failure, job=job)
        assert failure.code == "protocol" and failure.remedy
    assert isinstance(_describe(worker)[1].result, RasterDescription)


def test_a_frame_beyond_the_limit_is_refused_before_it_is_sent_and_ends_the_session(start):
    worker = start()
    worker.write(b"Content-Length: %d\r\n\r\n" % (2**40))
    _, failure = worker.wait_for(Failure, job=None, seconds=5)
    assert str(LARGEST_FRAME_BYTES) in failure.sentence
    assert worker.process.wait(5) == 0


def test_bytes_that_are_no_frame_end_the_session(start):
    worker = start()
    worker.wait_for(Hello)
    worker.write(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n")
    _, failure = worker.wait_for(Failure, job=None, seconds=5)
    assert "header" in failure.sentence
    assert worker.process.wait(5) == 0


def test_what_libraries_print_goes_to_the_log_and_nobody_reads_the_frames(start, tmp_path):
    """Seen from outside: descriptor 1 is the log, 0 is empty, the pipes sit elsewhere."""
    worker = start()
    worker.wait_for(Hello)
    links = {number: os.readlink(f"/proc/{worker.process.pid}/fd/{number}") for number in (0, 1, 2)}
    assert links[0] == os.devnull
    assert links[1] == links[2] == str(worker.log)


def test_nothing_listens_and_no_core_would_be_written(worker):
    _describe(worker)
    pid = worker.process.pid
    sockets = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if os.readlink(link).startswith("socket:")]
    assert not sockets
    limits = Path(f"/proc/{pid}/limits").read_text()
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4] == "0"


def test_foreign_gdal_and_proj_settings_do_not_reach_the_engine(start, tmp_path):
    """Each of these alone would keep GDAL from opening a TIFF or PROJ from knowing its CRS."""
    worker = start(GDAL_SKIP="GTiff", GDAL_DRIVER_PATH=str(tmp_path), PROJ_DATA=str(tmp_path), PROJ_LIB=str(tmp_path))
    _, result = _describe(worker)
    assert "26914" in result.result.crs or "NAD83" in result.result.crs


def test_python_settings_of_others_do_not_reach_the_engine(start, tmp_path):
    (tmp_path / "numpy.py").write_text("raise SystemExit('the wrong numpy')")
    worker = start(PYTHONPATH=str(tmp_path), PYTHONSTARTUP=str(tmp_path / "numpy.py"))
    assert _describe(worker)[1].result.count == 4


def _describe(worker):
    job = worker.call(DescribeRaster(IMAGE))
    return worker.wait_for(Result, job=job)
