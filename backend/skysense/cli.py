"""The command line: the same requests and jobs as the plugin, with a progress bar.

Exit codes: 0 done, 2 the input cannot be used (a sentence and a remedy on stderr), 130 stopped with Ctrl-C.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from math import isfinite, nan
from pathlib import Path
from typing import Any

from skysense import __version__
from skysense.errors import Cancelled, RequestError, SkySenseError
from skysense.jobs import table
from skysense.protocol import requests as r
from skysense.protocol.records import to_plain
from skysense.protocol.scene_source import Extent, SceneSource

STOPPED = 130
NANO = "skysense-nano"


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


# -- the parser ------------------------------------------------------------------------------------------------------
def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="skysense", description="SkySense on satellite, aerial and drone imagery: the engine of the QGIS plugin."
    )
    parser.add_argument("--version", action="version", version=f"skysense {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_jobs(commands)
    _add_tools(commands)
    return parser


def _add_jobs(commands: Any) -> None:
    embed = _job(commands, "embed", _embed, "dense feature map of a scene")
    _scene_arguments(embed)
    embed.add_argument("--output", required=True, help="feature map to write (COG)")
    embed.add_argument("--picture", help="picture of the first three principal components to write (COG)")
    embed.add_argument("--components", type=int, default=16, help="principal components to keep; 0 keeps all features")
    _engine_arguments(embed)

    segment = _job(commands, "segment", _segment, "one polygon per point of a point layer")
    segment.add_argument("raster", metavar="FILE", help="the image")
    segment.add_argument("--points", required=True, help="point layer (GeoPackage, GeoJSON, Shapefile, FlatGeobuf)")
    segment.add_argument("--layer", help="its layer (default: the first)")
    segment.add_argument(
        "--object-field", default="", help="field that names the object of a point (default: one object a point)"
    )
    segment.add_argument("--positive-field", default="", help="field that is 0 or false for points against the object")
    segment.add_argument("--class-field", default="", help="field with the object's class (default: the one called class)")
    segment.add_argument("--object-size", type=_number, metavar="METRES", help="typical diameter of the objects")
    segment.add_argument("--simplify", type=_number, default=1.0, metavar="PIXELS")
    segment.add_argument("--fill-holes", type=int, default=0, metavar="PIXELS")
    segment.add_argument("--output", required=True, help="polygons to write (GeoPackage)")

    example = _job(commands, "example", _example, "everything that looks like a few example polygons")
    _scene_arguments(example)
    example.add_argument("--examples", required=True, help="polygon layer (GeoPackage, GeoJSON, Shapefile, FlatGeobuf)")
    example.add_argument("--layer", help="its layer (default: the first)")
    example.add_argument("--mask", required=True, help="mask to write (COG): 1 alike, 0 not, 255 no data")
    example.add_argument("--score", help="score to write (COG): 0 unlike to 1 alike")
    example.add_argument("--polygons", help="what was found to write (GeoPackage)")
    example.add_argument(
        "--threshold", type=_number, help="of the score, 0 to 1 (default: found from the examples and the scene)"
    )
    example.add_argument("--minimum-area", type=_number, default=0.0, metavar="SQUARE_METRES")
    _engine_arguments(example)

    change = _job(commands, "change", _change, "what changed between two dates")
    change.add_argument("--before", nargs="+", required=True, metavar="FILE")
    change.add_argument("--after", nargs="+", required=True, metavar="FILE")
    change.add_argument("--before-dates", nargs="+", metavar="DATE", default=[])
    change.add_argument("--after-dates", nargs="+", metavar="DATE", default=[])
    change.add_argument("--sensor", help="sensor of all files (default: guessed)")
    change.add_argument("--bands", metavar="BANDS", help='which band of the files is which: "R=1 G=2 B=3" (default: guessed)')
    _extent_arguments(change)
    change.add_argument("--score", required=True, help="change score to write (COG)")
    change.add_argument("--mask", help="changed or not to write (COG)")
    change.add_argument("--polygons", help="changed areas to write (GeoPackage)")
    change.add_argument(
        "--method", default=r.CHANGE_METHODS[0], choices=r.CHANGE_METHODS, help=f"default: {r.CHANGE_METHODS[0]}"
    )
    change.add_argument("--threshold", type=_number, help="default: found by the method's rule")
    change.add_argument("--minimum-area", type=_number, default=0.0, metavar="SQUARE_METRES")
    _engine_arguments(change)

    train = _job(commands, "train", _train, "fine-tune a segmentation on labelled polygons")
    _scene_arguments(train)
    train.add_argument("--labels", required=True, help="polygon layer (GeoPackage, GeoJSON, Shapefile, FlatGeobuf)")
    train.add_argument("--layer", help="its layer (default: the first)")
    train.add_argument("--class-field", required=True)
    train.add_argument("--model", required=True, help="model to write (.safetensors)")
    train.add_argument("--name", help="what the model is called (default: the file's name)")
    train.add_argument("--tune", default=r.TUNED_PARTS[0], choices=r.TUNED_PARTS)
    train.add_argument("--steps", type=int, default=300)
    train.add_argument("--batch", type=int, default=8)
    train.add_argument("--learning-rate", type=_number, default=1e-3)
    train.add_argument("--seed", type=int, default=0)
    _engine_arguments(train)

    shards = _job(commands, "shards", _shards, "samples for pretraining from a scene, or from folders of images")
    shards.add_argument("output", metavar="OUT", help="folder to write; a run that was stopped goes on there")
    _scene_arguments(shards, files="*")
    shards.add_argument("--labels", help="polygons of classes on the scene (GeoPackage, GeoJSON, Shapefile, FlatGeobuf)")
    shards.add_argument("--layer", help="their layer (default: the first)")
    shards.add_argument("--class-field", default="")
    shards.add_argument("--folders", nargs="+", metavar="DIR", default=[], help="searched for images/* and S2*_YYYYMMDD.tif")
    shards.add_argument("--hold-out", nargs="+", metavar="PART", default=[], help="parts of paths that are never read")
    shards.add_argument("--window", type=int, default=0, metavar="PIXELS", help="side of a sample (default: 256, Sentinel 32)")
    shards.add_argument("--least-data", type=_number, default=0.5, metavar="SHARE", help="of a window's pixels (default: 0.5)")
    shards.add_argument("--shard-mb", type=_number, default=64, metavar="MB", help="size of a file (default: 64)")

    pretrain = _job(commands, "pretrain", _pretrain, "pretrain an encoder on shards, or go on with a run that stopped")
    pretrain.add_argument("run_folder", metavar="RUN", help="folder of the run; without --shards, one to go on with")
    pretrain.add_argument("--shards", nargs="+", metavar="FOLDER", help="made by `skysense shards`: begin a new run")
    pretrain.add_argument("--preset", default="nano", help="size: nano, tiny, base, huge (default: nano)")
    pretrain.add_argument("--start", metavar="WEIGHTS", help="file of that size, or `bundled` (default: random weights)")
    pretrain.add_argument("--keep", type=_number, default=0.0, metavar="WEIGHT", help="stay near the features of --start")
    pretrain.add_argument("--steps", type=_whole_from(1), default=1000)
    pretrain.add_argument("--batch", type=_whole_from(1), default=8, help="samples a step, over all processes")
    pretrain.add_argument("--accumulate", type=_whole_from(1), default=1, help="parts of a batch, one after the other")
    pretrain.add_argument("--learning-rate", type=_number, default=5e-4)
    pretrain.add_argument("--contrast", default="sinkhorn", help="sinkhorn, centring, info-nce (default: sinkhorn)")
    pretrain.add_argument("--local-views", type=_whole_from(0), default=4, help="small views of each sample")
    pretrain.add_argument("--save-memory", action="store_true", help="compute a part of the activations again")
    pretrain.add_argument("--save-every", type=_whole_from(1), default=100, metavar="STEPS")
    pretrain.add_argument("--log-every", type=_whole_from(1), default=5, metavar="STEPS")
    pretrain.add_argument("--workers", type=_whole_from(0), default=1, help="processes that prepare batches")
    pretrain.add_argument("--seed", type=_whole_from(0), default=0)
    pretrain.add_argument("--device", default="auto", help="auto, cpu, cuda")

    apply = _job(commands, "apply", _apply, "class raster of a scene by a fine-tuned model")
    _scene_arguments(apply)
    apply.add_argument("--model", required=True, help="model that `skysense train` wrote")
    apply.add_argument("--output", required=True, help="class raster to write (COG)")
    apply.add_argument("--confidence", help="confidence raster to write (COG)")
    apply.add_argument("--device", default="auto")


def _add_tools(commands: Any) -> None:
    describe = _job(commands, "describe", _describe, "what a raster is: sensor, bands, date, display")
    describe.add_argument("raster", metavar="FILE")

    models = _job(commands, "models", _models, "the encoders and your own models")
    models.add_argument("--folder", default="", help="where your own models lie")
    models.add_argument("--table", action="store_true", help="the parameters of every preset, part by part")
    models.add_argument("--json", metavar="OUT", help="with --table: write it")

    views = _job(commands, "views", _views, "a picture of what a model sees in pretraining")
    views.add_argument("shards", nargs="+", metavar="FOLDER", help="that `skysense shards` wrote")
    views.add_argument("picture", metavar="OUT", help=".png")
    views.add_argument("--samples", type=_whole_from(1), default=6)
    views.add_argument("--seed", type=_whole_from(0), default=0)
    views.add_argument("--epoch", type=_whole_from(0), default=0)

    doctor = _job(commands, "doctor", _doctor, "versions, devices, memory, models: for a report")
    doctor.add_argument("--folder", default="", help="where your own models lie")

    evaluate = _job(commands, "evaluate", _evaluate, "figures on labelled folders")
    evaluate.add_argument(
        "kind",
        choices=tuple(EVALUATIONS),
        help="clicks: a robot outlines objects; dense-probe: a linear head on frozen features of pictures; few-shot: the "
        "same on 1, 5 and 20 labelled regions a class; series: a linear head on dated Sentinel images; change: pairs of dates",
    )
    evaluate.add_argument("folders", nargs="+", metavar="FOLDER")
    evaluate.add_argument("--json", metavar="OUT")
    evaluate.add_argument("--seed", type=_whole_from(0), default=0)
    evaluate.add_argument("--targets", type=_whole_from(1), default=36)
    evaluate.add_argument("--model", default=NANO, help="encoder (default: skysense-nano)")
    evaluate.add_argument("--weights", metavar="FILE", help="weights in place of the bundled ones")
    evaluate.add_argument("--baselines", action="store_true", help="also the baselines, on the same targets and folds")
    evaluate.add_argument("--group-by", metavar="REGEX", help="group 1 of it on a file's stem, or a site's name, is the group")

    convert = _job(commands, "convert", _convert, "a released checkpoint, or all its files, as an encoder for every job")
    convert.add_argument("checkpoints", nargs="+", metavar="OFFICIAL", help=".pth, .ckpt or .safetensors")
    convert.add_argument("output", metavar="OUT", help=".safetensors")
    convert.add_argument("--precision", choices=r.PRECISIONS, default="float32", help="of the file (default: float32)")

    parity = _job(commands, "check-parity", _check_parity, "our models against stored numbers of the released ones")
    parity.add_argument("folders", nargs="+", metavar="FOLDER", help="of one family's fixtures, or of several such folders")
    parity.add_argument("--json", metavar="OUT")

    serve = _job(commands, "serve", _serve, "the worker process that the plugin starts")
    serve.add_argument("--role", choices=("interactive", "jobs"), default="jobs")


def _job(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.set_defaults(run=run)
    return parser


def _scene_arguments(parser: argparse.ArgumentParser, files: str = "+") -> None:
    parser.add_argument("files", nargs=files, metavar="FILE", help="rasters of one place: any sensors, any dates")
    parser.add_argument("--dates", nargs="+", metavar="DATE", default=[], help="one a file, in order; - is guessed")
    parser.add_argument("--sensors", nargs="+", metavar="SENSOR", default=[], help="hr, s2, s1, landsat; - is guessed")
    parser.add_argument("--bands", nargs="+", metavar="BANDS", default=[], help='one a file, like "R=1 G=2 B=3"; - is guessed')
    _extent_arguments(parser)


def _extent_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--extent", nargs=4, type=_number, metavar=("WEST", "SOUTH", "EAST", "NORTH"))
    parser.add_argument("--extent-crs", default="EPSG:4326", help="of --extent (default: EPSG:4326)")


def _whole_from(least: int) -> Callable[[str], int]:
    """Type of an argument: a whole number that is not below `least`."""

    def whole(text: str) -> int:
        if not text.lstrip("+-").isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"expected a whole number from {least}, got {text!r}")
        return int(text)

    return whole


def _number(text: str) -> float:
    """Type of an argument: a number, neither NaN nor infinite."""
    try:
        number = float(text)
    except ValueError:
        number = nan
    if not isfinite(number):
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}")
    return number


def _engine_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--encoder", default=NANO)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda")


# -- jobs ------------------------------------------------------------------------------------------------------------
def _embed(options: argparse.Namespace) -> int:
    return _run(
        r.EmbedScene(
            scene=_scene(options.files, options.dates, options.sensors, options.bands, _extent(options)),
            output_path=_absolute(options.output),
            picture_path=_absolute(options.picture) if options.picture else None,
            encoder=options.encoder,
            components=options.components,
            device=options.device,
        )
    )


def _segment(options: argparse.Namespace) -> int:
    description = _call(r.DescribeRaster(_absolute(options.raster)))
    return _run(
        r.SegmentPoints(
            path=description.path,
            points_path=_absolute(options.points),
            points_layer=options.layer,
            output_path=_absolute(options.output),
            object_field=options.object_field,
            positive_field=options.positive_field,
            class_field=options.class_field,
            display=description.display,
            name=Path(description.path).stem,
            date=description.date,
            object_size_m=options.object_size,
            simplify_px=options.simplify,
            fill_holes_px=options.fill_holes,
        )
    )


def _example(options: argparse.Namespace) -> int:
    return _run(
        r.SegmentByExample(
            scene=_scene(options.files, options.dates, options.sensors, options.bands, _extent(options)),
            examples_path=_absolute(options.examples),
            examples_layer=options.layer,
            mask_path=_absolute(options.mask),
            polygons_path=_absolute(options.polygons) if options.polygons else None,
            score_path=_absolute(options.score) if options.score else None,
            encoder=options.encoder,
            threshold=options.threshold,
            minimum_area_m2=options.minimum_area,
            device=options.device,
        )
    )


def _change(options: argparse.Namespace) -> int:

    def scene(files: Sequence[str], dates: Sequence[str]) -> SceneSource:
        count = len(files)
        return _scene(files, dates, [options.sensor or "-"] * count, [options.bands or "-"] * count, _extent(options))

    return _run(
        r.DetectChange(
            before=scene(options.before, options.before_dates),
            after=scene(options.after, options.after_dates),
            score_path=_absolute(options.score),
            mask_path=_absolute(options.mask) if options.mask else None,
            polygons_path=_absolute(options.polygons) if options.polygons else None,
            method=options.method,
            encoder=options.encoder,
            threshold=options.threshold,
            minimum_area_m2=options.minimum_area,
            device=options.device,
        )
    )


def _train(options: argparse.Namespace) -> int:
    trained = _call(
        r.TrainSegmentation(
            scene=_scene(options.files, options.dates, options.sensors, options.bands, _extent(options)),
            labels_path=_absolute(options.labels),
            labels_layer=options.layer,
            class_field=options.class_field,
            model_path=_absolute(options.model),
            name=options.name or Path(options.model).stem,
            encoder=options.encoder,
            tune=options.tune,
            steps=options.steps,
            batch=options.batch,
            learning_rate=options.learning_rate,
            seed=options.seed,
            device=options.device,
        )
    )
    _show(trained)
    if trained.stopped != "cancelled":
        return 0
    print(f"Stopped: the best model so far, of step {trained.best_step}, is kept.", file=sys.stderr)
    return STOPPED


def _shards(options: argparse.Namespace) -> int:
    files = options.files
    return _run(
        r.MakeShards(
            scene=_scene(files, options.dates, options.sensors, options.bands, _extent(options)) if files else None,
            output_folder=_absolute(options.output),
            window_px=options.window,
            least_data=options.least_data,
            shard_bytes=int(options.shard_mb * 1e6),
            labels_path=_absolute(options.labels) if options.labels else None,
            labels_layer=options.layer,
            class_field=options.class_field,
            folders=tuple(map(_absolute, options.folders)),
            hold_out=tuple(options.hold_out),
        )
    )


def _pretrain(options: argparse.Namespace) -> int:
    from skysense.jobs import pretrain
    from skysense.jobs.bar import BarReport
    from skysense.training.pretraining.settings import PretrainSettings
    from skysense.training.views import ViewSettings

    new = None
    if options.shards:
        settings = PretrainSettings(
            preset=options.preset,
            start=options.start if options.start in (None, pretrain.BUNDLED) else _absolute(options.start),
            keep=options.keep,
            steps=options.steps,
            batch=options.batch,
            accumulate=options.accumulate,
            learning_rate=options.learning_rate,
            contrast=options.contrast,
            save_memory=options.save_memory,
            save_every=options.save_every,
            log_every=options.log_every,
            workers=options.workers,
            seed=options.seed,
            views=ViewSettings(local_views=options.local_views),
        )
        new = pretrain.NewRun(tuple(Path(_absolute(folder)) for folder in options.shards), settings)
    with BarReport() as report:
        state = pretrain.run(Path(_absolute(options.run_folder)), options.device, report, new)
    if state == "finished":
        return 0
    print(f"Stopped and saved. `skysense pretrain {options.run_folder}` goes on.", file=sys.stderr)
    return STOPPED


def _apply(options: argparse.Namespace) -> int:
    return _run(
        r.ApplyModel(
            scene=_scene(options.files, options.dates, options.sensors, options.bands, _extent(options)),
            model_path=_absolute(options.model),
            output_path=_absolute(options.output),
            confidence_path=_absolute(options.confidence) if options.confidence else None,
            device=options.device,
        )
    )


def _describe(options: argparse.Namespace) -> int:
    return _run(r.DescribeRaster(_absolute(options.raster)))


# -- tools -----------------------------------------------------------------------------------------------------------
def _models(options: argparse.Namespace) -> int:
    if options.json and not options.table:
        raise RequestError("--json writes the table of parameters.", "Add --table, or leave --json out.")
    if options.table:
        parts = importlib.import_module("skysense.models.parts")
        code = _print_rows(parts.part_rows, options.json)
        print("\n".join(parts.beside_the_paper()))
        return code
    for card in _call(r.ListModels(folder=options.folder)).models:
        state = card.digest[:19] if card.digest else "weights missing"
        print(f"{card.key:<24} {card.kind:<14} {card.parameters:>13,}  {'+'.join(card.sensors):<14} {state}")
    return 0


def _doctor(options: argparse.Namespace) -> int:
    print("\n".join(_call(r.Diagnose(folder=options.folder)).lines))
    return 0


# What each kind takes beside the folders; `run(folders, **those)` gives its rows.
EVALUATIONS: dict[str, tuple[str, ...]] = {
    "clicks": ("seed", "targets", "baselines"),
    "dense-probe": ("seed", "model", "weights", "baselines", "group_by"),
    "few-shot": ("seed", "model", "weights", "baselines", "group_by"),
    "series": ("seed", "model", "weights", "baselines", "group_by"),
    "change": ("seed", "model", "weights", "baselines", "group_by"),
}


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
        check_target(Path(_absolute(json_path)), [])
    made = rows()
    print_table(made)
    if json_path is not None:
        write_json(made, _absolute(json_path))
    return 0


def _views(options: argparse.Namespace) -> int:
    from skysense.scene.write import check_target
    from skysense.training.contact_sheet import draw_sheet
    from skysense.training.shards import ShardSet
    from skysense.training.views import ViewSettings

    path = Path(_absolute(options.picture))
    check_target(path, [])
    shards = ShardSet([Path(_absolute(folder)) for folder in options.shards])
    chosen = draw_sheet(shards, path, ViewSettings(), options.samples, options.seed, options.epoch)
    print(f"{path}: {chosen} of {len(shards)} samples")
    return 0


def _convert(options: argparse.Namespace) -> int:
    paths = tuple(_absolute(path) for path in options.checkpoints)
    return _run(r.ConvertModel(paths, _absolute(options.output), options.precision))


def _check_parity(options: argparse.Namespace) -> int:
    """Exit code 0 if all pass, 1 if any differs or cannot be run."""
    from skysense.evaluate.table import print_table
    from skysense.parity.check import check_folders, report, rows
    from skysense.scene.write import check_target

    if options.json is not None:
        check_target(Path(_absolute(options.json)), [])
    checks = check_folders([Path(_absolute(folder)) for folder in options.folders])
    found = report(checks)
    print_table(rows(checks))
    print(f"{found['passed']} passed, {found['failed']} failed, {found['errors']} could not be run.")
    if options.json is not None:
        Path(_absolute(options.json)).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0 if found["passed"] == len(checks) else 1


def _serve(options: argparse.Namespace) -> int:
    from skysense.worker.serve import serve

    return serve(options.role)


# -- scenes ----------------------------------------------------------------------------------------------------------
def _scene(
    files: Sequence[str], dates: Sequence[str], sensors: Sequence[str], bands: Sequence[str], extent: Extent | None
) -> SceneSource:
    from skysense.jobs.scene_from_files import scene_from_files

    return scene_from_files([_absolute(file) for file in files], dates, sensors, extent, bands)


def _extent(options: argparse.Namespace) -> Extent | None:
    return Extent(options.extent_crs, *options.extent) if options.extent else None


# -- one call --------------------------------------------------------------------------------------------------------
def _run(request: object) -> int:
    """Run the job with a bar on stderr and print its result as JSON on stdout."""
    _show(_call(request))
    return 0


def _show(result: object) -> None:
    print(json.dumps(to_plain(result), indent=2, ensure_ascii=False))


def _call(request: object) -> Any:
    from skysense.jobs.bar import BarReport

    with BarReport() as report:
        return table.load(type(request))(request, report)


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))
