"""What learns, and what it learns from."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from skysense.protocol import requests as r

from .common import (
    STOPPED,
    absolute,
    call_job,
    engine_arguments,
    extent_of,
    job,
    number,
    run_request,
    scene_arguments,
    scene_of,
    show_result,
    whole_from,
)


def add_training(commands: Any) -> None:
    train = job(commands, "train", _train, "fine-tune a segmentation on labelled polygons")
    scene_arguments(train)
    train.add_argument("--labels", required=True, help="polygon layer (GeoPackage, GeoJSON, Shapefile, FlatGeobuf)")
    train.add_argument("--layer", help="its layer (default: the first)")
    train.add_argument("--class-field", required=True)
    train.add_argument("--model", required=True, help="model to write (.safetensors)")
    train.add_argument("--name", help="what the model is called (default: the file's name)")
    train.add_argument("--tune", default=r.TUNED_PARTS[0], choices=r.TUNED_PARTS)
    train.add_argument("--steps", type=int, default=300)
    train.add_argument("--batch", type=int, default=8)
    train.add_argument("--learning-rate", type=number, default=1e-3)
    train.add_argument("--seed", type=int, default=0)
    engine_arguments(train)

    shards = job(commands, "shards", _shards, "samples for pretraining from a scene, or from folders of images")
    shards.add_argument("output", metavar="OUT", help="folder to write; a run that was stopped goes on there")
    scene_arguments(shards, files="*")
    shards.add_argument("--labels", help="polygons of classes on the scene (GeoPackage, GeoJSON, Shapefile, FlatGeobuf)")
    shards.add_argument("--layer", help="their layer (default: the first)")
    shards.add_argument("--class-field", default="")
    shards.add_argument("--folders", nargs="+", metavar="DIR", default=[], help="searched for images/* and S2*_YYYYMMDD.tif")
    shards.add_argument("--hold-out", nargs="+", metavar="PART", default=[], help="parts of paths that are never read")
    shards.add_argument("--window", type=int, default=0, metavar="PIXELS", help="side of a sample (default: 256, Sentinel 32)")
    shards.add_argument("--least-data", type=number, default=0.5, metavar="SHARE", help="of a window's pixels (default: 0.5)")
    shards.add_argument("--shard-mb", type=number, default=64, metavar="MB", help="size of a file (default: 64)")

    views = job(commands, "views", _views, "a picture of what a model sees in pretraining")
    views.add_argument("shards", nargs="+", metavar="FOLDER", help="that `skysense shards` wrote")
    views.add_argument("picture", metavar="OUT", help=".png")
    views.add_argument("--samples", type=whole_from(1), default=6)
    views.add_argument("--seed", type=whole_from(0), default=0)
    views.add_argument("--epoch", type=whole_from(0), default=0)

    pretrain = job(commands, "pretrain", _pretrain, "pretrain an encoder on shards, or go on with a run that stopped")
    pretrain.add_argument("run_folder", metavar="RUN", help="folder of the run; without --shards, one to go on with")
    pretrain.add_argument("--shards", nargs="+", metavar="FOLDER", help="made by `skysense shards`: begin a new run")
    pretrain.add_argument("--preset", default="nano", help="size: nano, tiny, base, huge (default: nano)")
    pretrain.add_argument("--start", metavar="WEIGHTS", help="file of that size, or `bundled` (default: random weights)")
    pretrain.add_argument("--keep", type=number, default=0.0, metavar="WEIGHT", help="stay near the features of --start")
    pretrain.add_argument("--steps", type=whole_from(1), default=1000)
    pretrain.add_argument("--batch", type=whole_from(1), default=8, help="samples a step, over all processes")
    pretrain.add_argument("--accumulate", type=whole_from(1), default=1, help="parts of a batch, one after the other")
    pretrain.add_argument("--learning-rate", type=number, default=5e-4)
    pretrain.add_argument(
        "--momentum", type=number, help="of the teacher at the first step (default: 0.996, less below 2500 steps)"
    )
    pretrain.add_argument("--contrast", default="sinkhorn", help="sinkhorn, centring, info-nce (default: sinkhorn)")
    pretrain.add_argument("--local-views", type=whole_from(0), default=4, help="small views of each sample")
    pretrain.add_argument(
        "--view-dates", type=whole_from(1), nargs=2, default=(20, 10), metavar=("S2", "S1"), help="of a series (default: 20 10)"
    )
    pretrain.add_argument("--save-memory", action="store_true", help="compute a part of the activations again")
    pretrain.add_argument("--save-every", type=whole_from(1), default=100, metavar="STEPS")
    pretrain.add_argument("--log-every", type=whole_from(1), default=5, metavar="STEPS")
    pretrain.add_argument("--workers", type=whole_from(0), default=1, help="processes that prepare batches")
    pretrain.add_argument("--seed", type=whole_from(0), default=0)
    pretrain.add_argument("--device", default="auto", help="auto, cpu, cuda")


def _train(options: argparse.Namespace) -> int:
    trained = call_job(
        r.TrainSegmentation(
            scene=scene_of(options.files, options.dates, options.sensors, options.bands, extent_of(options)),
            labels_path=absolute(options.labels),
            labels_layer=options.layer,
            class_field=options.class_field,
            model_path=absolute(options.model),
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
    show_result(trained)
    if trained.stopped != "cancelled":
        return 0
    print(f"Stopped: the best model so far, of step {trained.best_step}, is kept.", file=sys.stderr)
    return STOPPED


def _shards(options: argparse.Namespace) -> int:
    files = options.files
    return run_request(
        r.MakeShards(
            scene=scene_of(files, options.dates, options.sensors, options.bands, extent_of(options)) if files else None,
            output_folder=absolute(options.output),
            window_px=options.window,
            least_data=options.least_data,
            shard_bytes=int(options.shard_mb * 1e6),
            labels_path=absolute(options.labels) if options.labels else None,
            labels_layer=options.layer,
            class_field=options.class_field,
            folders=tuple(map(absolute, options.folders)),
            hold_out=tuple(options.hold_out),
        )
    )


def _views(options: argparse.Namespace) -> int:
    from skysense.scene.write import check_target
    from skysense.training.contact_sheet import draw_sheet
    from skysense.training.shards import ShardSet
    from skysense.training.views import ViewSettings

    path = Path(absolute(options.picture))
    check_target(path, [])
    shards = ShardSet([Path(absolute(folder)) for folder in options.shards])
    chosen = draw_sheet(shards, path, ViewSettings(), options.samples, options.seed, options.epoch)
    print(f"{path}: {chosen} of {len(shards)} samples")
    return 0


def _pretrain(options: argparse.Namespace) -> int:
    from skysense.jobs import pretrain
    from skysense.jobs.bar import BarReport
    from skysense.training.pretraining.settings import PretrainSettings, momentum_for
    from skysense.training.views import ViewSettings

    new = None
    if options.shards:
        settings = PretrainSettings(
            preset=options.preset,
            start=options.start if options.start in (None, pretrain.BUNDLED) else absolute(options.start),
            keep=options.keep,
            steps=options.steps,
            batch=options.batch,
            accumulate=options.accumulate,
            learning_rate=options.learning_rate,
            teacher_momentum=momentum_for(options.steps) if options.momentum is None else options.momentum,
            contrast=options.contrast,
            save_memory=options.save_memory,
            save_every=options.save_every,
            log_every=options.log_every,
            workers=options.workers,
            seed=options.seed,
            views=ViewSettings(local_views=options.local_views, s2_dates=options.view_dates[0], s1_dates=options.view_dates[1]),
        )
        new = pretrain.NewRun(tuple(Path(absolute(folder)) for folder in options.shards), settings)
    with BarReport() as report:
        state = pretrain.run(Path(absolute(options.run_folder)), options.device, report, new)
    if state == "finished":
        return 0
    print(f"Stopped and saved. `skysense pretrain {options.run_folder}` goes on.", file=sys.stderr)
    return STOPPED
