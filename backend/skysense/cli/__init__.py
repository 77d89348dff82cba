"""The command line: the same requests and jobs as the plugin, with a progress bar.

Exit codes: 0 done, 2 the input cannot be used (a sentence and a remedy on stderr), 130 stopped with Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from skysense import __version__
from skysense.errors import Cancelled, SkySenseError

from .common import STOPPED
from .jobs import add_jobs
from .tools import add_tools
from .training import add_training


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run, print; the console script returns this as its exit code."""
    options = _parser().parse_args(arguments)
    _set_threads(options)
    try:
        code: int = options.run(options)
        return code
    except (KeyboardInterrupt, Cancelled):
        print("Stopped.", file=sys.stderr)
        return STOPPED
    except SkySenseError as error:
        print(f"{error.sentence}\n{error.remedy}", file=sys.stderr)
        return 2


def _set_threads(options: argparse.Namespace) -> None:
    """Before the numeric libraries are loaded: one core stays free for QGIS and the rest of the machine.

    Threads that wait for a busy core cost more than they bring: with both of two cores taken by others, a tile took
    six times as long on two threads as on one. Click times are defined on one thread.
    """
    one = getattr(options, "role", "") == "interactive" or getattr(options, "kind", "") == "clicks"
    os.environ.setdefault("OMP_NUM_THREADS", "1" if one else str(max(1, (os.cpu_count() or 2) - 1)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="skysense", description="SkySense on satellite, aerial and drone imagery: the engine of the QGIS plugin."
    )
    parser.add_argument("--version", action="version", version=f"skysense {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    add_jobs(commands)
    add_training(commands)
    add_tools(commands)
    return parser
