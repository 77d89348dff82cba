"""What the commands share: arguments of scenes and devices, types of numbers, one call with a bar."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from math import isfinite, nan
from typing import Any

from skysense.jobs import table
from skysense.protocol.records import to_plain
from skysense.protocol.scene_source import Extent, SceneSource

STOPPED = 130  # exit code
NANO = "skysense-nano"


def job(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.set_defaults(run=run)
    return parser


def scene_arguments(parser: argparse.ArgumentParser, files: str = "+") -> None:
    parser.add_argument("files", nargs=files, metavar="FILE", help="rasters of one place: any sensors, any dates")
    parser.add_argument("--dates", nargs="+", metavar="DATE", default=[], help="one a file, in order; - is guessed")
    parser.add_argument("--sensors", nargs="+", metavar="SENSOR", default=[], help="hr, s2, s1, landsat; - is guessed")
    parser.add_argument("--bands", nargs="+", metavar="BANDS", default=[], help='one a file, like "R=1 G=2 B=3"; - is guessed')
    extent_arguments(parser)


def extent_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--extent", nargs=4, type=number, metavar=("WEST", "SOUTH", "EAST", "NORTH"))
    parser.add_argument("--extent-crs", default="EPSG:4326", help="of --extent (default: EPSG:4326)")


def whole_from(least: int) -> Callable[[str], int]:
    """Type of an argument: a whole number that is not below `least`."""

    def whole(text: str) -> int:
        if not text.lstrip("+-").isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"expected a whole number from {least}, got {text!r}")
        return int(text)

    return whole


def number(text: str) -> float:
    """Type of an argument: a number, neither NaN nor infinite."""
    try:
        number = float(text)
    except ValueError:
        number = nan
    if not isfinite(number):
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}")
    return number


def engine_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--encoder", default=NANO)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda")


def scene_of(
    files: Sequence[str], dates: Sequence[str], sensors: Sequence[str], bands: Sequence[str], extent: Extent | None
) -> SceneSource:
    from skysense.jobs.scene_from_files import scene_from_files

    return scene_from_files([absolute(file) for file in files], dates, sensors, extent, bands)


def extent_of(options: argparse.Namespace) -> Extent | None:
    return Extent(options.extent_crs, *options.extent) if options.extent else None


def run_request(request: object) -> int:
    """Run the job with a bar on stderr and print its result as JSON on stdout."""
    show_result(call_job(request))
    return 0


def show_result(result: object) -> None:
    print(json.dumps(to_plain(result), indent=2, ensure_ascii=False))


def call_job(request: object) -> Any:
    from skysense.jobs.bar import BarReport

    with BarReport() as report:
        return table.load(type(request))(request, report)


def absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))
