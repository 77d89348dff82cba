"""Scans a plugin folder as the plugin repository does: Bandit, detect-secrets and flake8 with its own lists.

Any finding blocks an upload, so any finding is an error here.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

# The repository runs every Bandit test but these four.
BANDIT_OFF = {"B109", "B404", "B410", "B411"}
FLAKE8_ON = "E9,F63,F7,F82,F401,F402,F403,F404,F405,F811,F841,W605"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    findings = [*bandit(folder), *secrets(folder), *flake8(folder)]
    print("\n".join(findings) or f"{folder.name}: nothing found")
    return 1 if findings else 0


def bandit(folder: Path) -> list[str]:
    command = [sys.executable, "-m", "bandit", "-q", "-r", str(folder), "-f", "json", "-s", ",".join(sorted(BANDIT_OFF))]
    report = json.loads(subprocess.run(command, capture_output=True, text=True).stdout)
    return [f"{r['filename']}:{r['line_number']}: {r['test_id']} {r['issue_text']}" for r in report["results"]]


def secrets(folder: Path) -> list[str]:
    command = [sys.executable, "-m", "detect_secrets", "scan", "--all-files", "."]
    report = json.loads(subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout)
    hits = {name: found for name, found in report["results"].items() if name != "metadata.txt"}
    return [f"{name}:{hit['line_number']}: {hit['type']}" for name, found in hits.items() for hit in found]


def flake8(folder: Path) -> list[str]:
    command = [sys.executable, "-m", "flake8", "--isolated", f"--select={FLAKE8_ON}", str(folder)]
    return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()


if __name__ == "__main__":
    raise SystemExit(main())
