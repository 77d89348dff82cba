"""The jobs of the plugin: the same requests to the same code."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from skysense.protocol import requests as r
from skysense.protocol.scene_source import SceneSource

from .common import (
    absolute,
    call_job,
    engine_arguments,
    extent_arguments,
    extent_of,
    job,
    number,
    run_request,
    scene_arguments,
    scene_of,
)


def add_jobs(commands: Any) -> None:
    embed = job(commands, "embed", _embed, "dense feature map of a scene")
    scene_arguments(embed)
    embed.add_argument("--output", required=True, help="feature map to write (COG)")
    embed.add_argument("--picture", help="picture of the first three principal components to write (COG)")
    embed.add_argument("--components", type=int, default=16, help="principal components to keep; 0 keeps all features")
    engine_arguments(embed)

    segment = job(commands, "segment", _segment, "one polygon per point of a point layer")
    segment.add_argument("raster", metavar="FILE", help="the image")
    segment.add_argument("--points", required=True, help="point layer (GeoPackage, GeoJSON, Shapefile, FlatGeobuf)")
    segment.add_argument("--layer", help="its layer (default: the first)")
    segment.add_argument(
        "--object-field", default="", help="field that names the object of a point (default: one object a point)"
    )
    segment.add_argument("--positive-field", default="", help="field that is 0 or false for points against the object")
    segment.add_argument("--class-field", default="", help="field with the object's class (default: the one called class)")
    segment.add_argument("--object-size", type=number, metavar="METRES", help="typical diameter of the objects")
    segment.add_argument("--simplify", type=number, default=1.0, metavar="PIXELS")
    segment.add_argument("--fill-holes", type=int, default=0, metavar="PIXELS")
    segment.add_argument("--output", required=True, help="polygons to write (GeoPackage)")

    example = job(commands, "example", _example, "everything that looks like a few example polygons")
    scene_arguments(example)
    example.add_argument("--examples", required=True, help="polygon layer (GeoPackage, GeoJSON, Shapefile, FlatGeobuf)")
    example.add_argument("--layer", help="its layer (default: the first)")
    example.add_argument("--mask", required=True, help="mask to write (COG): 1 alike, 0 not, 255 no data")
    example.add_argument("--score", help="score to write (COG): 0 unlike to 1 alike")
    example.add_argument("--polygons", help="what was found to write (GeoPackage)")
    example.add_argument(
        "--threshold", type=number, help="of the score, 0 to 1 (default: found from the examples and the scene)"
    )
    example.add_argument("--minimum-area", type=number, default=0.0, metavar="SQUARE_METRES")
    engine_arguments(example)

    change = job(commands, "change", _change, "what changed between two dates")
    change.add_argument("--before", nargs="+", required=True, metavar="FILE")
    change.add_argument("--after", nargs="+", required=True, metavar="FILE")
    change.add_argument("--before-dates", nargs="+", metavar="DATE", default=[])
    change.add_argument("--after-dates", nargs="+", metavar="DATE", default=[])
    change.add_argument("--sensor", help="sensor of all files (default: guessed)")
    change.add_argument("--bands", metavar="BANDS", help='which band of the files is which: "R=1 G=2 B=3" (default: guessed)')
    extent_arguments(change)
    change.add_argument("--score", required=True, help="change score to write (COG)")
    change.add_argument("--mask", help="changed or not to write (COG)")
    change.add_argument("--polygons", help="changed areas to write (GeoPackage)")
    change.add_argument(
        "--method", default=r.CHANGE_METHODS[0], choices=r.CHANGE_METHODS, help=f"default: {r.CHANGE_METHODS[0]}"
    )
    change.add_argument("--threshold", type=number, help="default: found by the method's rule")
    change.add_argument("--minimum-area", type=number, default=0.0, metavar="SQUARE_METRES")
    engine_arguments(change)

    apply = job(commands, "apply", _apply, "class raster of a scene by a fine-tuned model")
    scene_arguments(apply)
    apply.add_argument("--model", required=True, help="model that `skysense train` wrote")
    apply.add_argument("--output", required=True, help="class raster to write (COG)")
    apply.add_argument("--confidence", help="confidence raster to write (COG)")
    apply.add_argument("--device", default="auto")

    describe = job(commands, "describe", _describe, "what a raster is: sensor, bands, date, display")
    describe.add_argument("raster", metavar="FILE")


def _embed(options: argparse.Namespace) -> int:
    return run_request(
        r.EmbedScene(
            scene=scene_of(options.files, options.dates, options.sensors, options.bands, extent_of(options)),
            output_path=absolute(options.output),
            picture_path=absolute(options.picture) if options.picture else None,
            encoder=options.encoder,
            components=options.components,
            device=options.device,
        )
    )


def _segment(options: argparse.Namespace) -> int:
    description = call_job(r.DescribeRaster(absolute(options.raster)))
    return run_request(
        r.SegmentPoints(
            path=description.path,
            points_path=absolute(options.points),
            points_layer=options.layer,
            output_path=absolute(options.output),
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
    return run_request(
        r.SegmentByExample(
            scene=scene_of(options.files, options.dates, options.sensors, options.bands, extent_of(options)),
            examples_path=absolute(options.examples),
            examples_layer=options.layer,
            mask_path=absolute(options.mask),
            polygons_path=absolute(options.polygons) if options.polygons else None,
            score_path=absolute(options.score) if options.score else None,
            encoder=options.encoder,
            threshold=options.threshold,
            minimum_area_m2=options.minimum_area,
            device=options.device,
        )
    )


def _change(options: argparse.Namespace) -> int:

    def scene(files: Sequence[str], dates: Sequence[str]) -> SceneSource:
        count = len(files)
        return scene_of(files, dates, [options.sensor or "-"] * count, [options.bands or "-"] * count, extent_of(options))

    return run_request(
        r.DetectChange(
            before=scene(options.before, options.before_dates),
            after=scene(options.after, options.after_dates),
            score_path=absolute(options.score),
            mask_path=absolute(options.mask) if options.mask else None,
            polygons_path=absolute(options.polygons) if options.polygons else None,
            method=options.method,
            encoder=options.encoder,
            threshold=options.threshold,
            minimum_area_m2=options.minimum_area,
            device=options.device,
        )
    )


def _apply(options: argparse.Namespace) -> int:
    return run_request(
        r.ApplyModel(
            scene=scene_of(options.files, options.dates, options.sensors, options.bands, extent_of(options)),
            model_path=absolute(options.model),
            output_path=absolute(options.output),
            confidence_path=absolute(options.confidence) if options.confidence else None,
            device=options.device,
        )
    )


def _describe(options: argparse.Namespace) -> int:
    return run_request(r.DescribeRaster(absolute(options.raster)))
