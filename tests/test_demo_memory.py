"""The demo's figure of memory, on processes whose memory is known."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "demo"))
from memory import PeakMemory

HOLD = "import sys, time; held = bytearray(b'1') * (int(sys.argv[1]) * 2**20); time.sleep(0.3)"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLD!r}, sys.argv[1]], check=True)"

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")


def peak(code: str, megabytes: int) -> float:
    with subprocess.Popen([sys.executable, "-c", code, str(megabytes)]) as process, PeakMemory(process.pid) as measured:
        process.wait()
    return measured.mb


def test_a_small_process_after_a_large_one_is_small_and_children_count():
    assert 300 < peak(HOLD, 300) < 340
    assert 50 < peak(HOLD, 50) < 90
    assert 200 < peak(PARENT, 200) < 260
