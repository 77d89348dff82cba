"""Models, figures, reports, and the worker."""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from skysense.errors import RequestError
from skysense.protocol import requests as r

from .common import NANO, absolute, call_job, job, run_request, whole_from

# What each kind takes beside the folders; `run(folders, **those)` gives its rows.
EVALUATIONS: dict[str, tuple[str, ...]] = {
    "clicks": ("seed", "targets", "baselines"),
    "dense-probe": ("seed", "model", "weights", "baselines", "group_by"),
    "few-shot": ("seed", "model", "weights", "baselines", "group_by"),
    "series": ("seed", "model", "weights", "baselines", "group_by"),
    "change": ("seed", "model", "weights", "baselines", "group_by"),
}


def add_tools(commands: Any) -> None:
    models = job(commands, "models", _models, "the encoders and your own models")
    models.add_argument("--folder", default="", help="where your own models lie")
    models.add_argument("--table", action="store_true", help="the parameters of every preset, part by part")
    models.add_argument("--json", metavar="OUT", help="with --table: write it")

    doctor = job(commands, "doctor", _doctor, "versions, devices, memory, models: for a report")
    doctor.add_argument("--folder", default="", help="where your own models lie")

    evaluate = job(commands, "evaluate", _evaluate, "figures on labelled folders")
    evaluate.add_argument(
        "kind",
        choices=tuple(EVALUATIONS),
        help="clicks: a robot outlines objects; dense-probe: a linear head on frozen features of pictures; few-shot: the "
        "same on 1, 5 and 20 labelled regions a class; series: a linear head on dated Sentinel images; change: pairs of dates",
    )
    evaluate.add_argument("folders", nargs="+", metavar="FOLDER")
    evaluate.add_argument("--json", metavar="OUT")
    evaluate.add_argument("--seed", type=whole_from(0), default=0)
    evaluate.add_argument("--targets", type=whole_from(1), default=36)
    evaluate.add_argument("--model", default=NANO, help="encoder (default: skysense-nano)")
    evaluate.add_argument("--weights", metavar="FILE", help="weights in place of the bundled ones")
    evaluate.add_argument("--baselines", action="store_true", help="also the baselines, on the same targets and folds")
    evaluate.add_argument("--group-by", metavar="REGEX", help="group 1 of it on a file's stem, or a site's name, is the group")

    convert = job(commands, "convert", _convert, "a released checkpoint, or all its files, as an encoder for every job")
    convert.add_argument("checkpoints", nargs="+", metavar="OFFICIAL", help=".pth, .ckpt or .safetensors")
    convert.add_argument("output", metavar="OUT", help=".safetensors")
    convert.add_argument("--precision", choices=r.PRECISIONS, default="float32", help="of the file (default: float32)")

    parity = job(commands, "check-parity", _check_parity, "our models against stored numbers of the released ones")
    parity.add_argument("folders", nargs="+", metavar="FOLDER", help="of one family's fixtures, or of several such folders")
    parity.add_argument("--json", metavar="OUT")

    serve = job(commands, "serve", _serve, "the worker process that the plugin starts")
    serve.add_argument("--role", choices=("interactive", "jobs"), default="jobs")


def _models(options: argparse.Namespace) -> int:
    if options.json and not options.table:
        raise RequestError("--json writes the table of parameters.", "Add --table, or leave --json out.")
    if options.table:
        parts = importlib.import_module("skysense.models.parts")
        code = _print_rows(parts.part_rows, options.json)
        print("\n".join(parts.beside_the_paper()))
        return code
    for card in call_job(r.ListModels(folder=options.folder)).models:
        state = card.digest[:19] if card.digest else "weights missing"
        print(f"{card.key:<24} {card.kind:<14} {card.parameters:>13,}  {'+'.join(card.sensors):<14} {state}")
    return 0


def _doctor(options: argparse.Namespace) -> int:
    print("\n".join(call_job(r.Diagnose(folder=options.folder)).lines))
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    _check_evaluation(options)
    module = importlib.import_module(f"skysense.evaluate.{options.kind.replace('-', '_')}")
    taken = {name: getattr(options, name) for name in EVALUATIONS[options.kind]}
    return _print_rows(lambda: module.run(options.folders, **taken), options.json)


def _check_evaluation(options: argparse.Namespace) -> None:
    """One line calls all kinds, so that an option may mean nothing to a kind; it has to make sense all the same."""
    if options.group_by is not None:
        importlib.import_module("skysense.evaluate.folders").group_pattern(options.group_by)
    if options.weights is not None and not Path(options.weights).is_file():
        raise RequestError(f"There is no file {options.weights}.", "Name a file of weights with --weights, or leave it out.")
    if options.model != NANO:
        importlib.import_module("skysense.models.catalog").entry(options.model)


def _print_rows(rows: Callable[[], list[dict[str, object]]], json_path: str | None) -> int:
    """Print the rows as a table and write them; whether they can be written is known before they are made."""
    from skysense.evaluate.table import print_table, write_json
    from skysense.scene.write import check_target

    if json_path is not None:
        check_target(Path(absolute(json_path)), [])
    made = rows()
    print_table(made)
    if json_path is not None:
        write_json(made, absolute(json_path))
    return 0


def _convert(options: argparse.Namespace) -> int:
    paths = tuple(absolute(path) for path in options.checkpoints)
    return run_request(r.ConvertModel(paths, absolute(options.output), options.precision))


def _check_parity(options: argparse.Namespace) -> int:
    """Exit code 0 if all pass, 1 if any differs or cannot be run."""
    from skysense.evaluate.table import print_table
    from skysense.parity.check import check_folders, report, rows
    from skysense.scene.write import check_target

    if options.json is not None:
        check_target(Path(absolute(options.json)), [])
    checks = check_folders([Path(absolute(folder)) for folder in options.folders])
    found = report(checks)
    print_table(rows(checks))
    print(f"{found['passed']} passed, {found['failed']} failed, {found['errors']} could not be run.")
    if options.json is not None:
        Path(absolute(options.json)).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0 if found["passed"] == len(checks) else 1


def _serve(options: argparse.Namespace) -> int:
    from skysense.worker.serve import serve

    return serve(options.role)
