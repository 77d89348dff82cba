"""The main job end to end on real imagery, through `qgis_process`: `make demo`.

Fetches the imagery, enables the plugin in a profile of its own, runs the five algorithms, draws each result as a PNG
and prints a table: job, input, output, seconds, peak memory of QGIS and the engine together, and a quality figure where
the packages ship labels.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import imagery
import pictures
import quality
from memory import PeakMemory

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Row:
    """One job's line in the table."""

    job: str
    source: str
    output: str
    seconds: float
    peak_mb: float
    quality: str


class Qgis:
    """`qgis_process` with the plugin in a profile of its own."""

    def __init__(self, folder: Path) -> None:
        self._environment = {
            **os.environ,
            "QT_QPA_PLATFORM": "offscreen",
            "QGIS_CUSTOM_CONFIG_PATH": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
        }
        plugins = folder / "profiles/default/python/plugins"
        install = [sys.executable, REPOSITORY / "tools/install.py", "--plugins-folder", plugins]
        subprocess.run([str(part) for part in install], check=True, stdout=subprocess.DEVNULL)
        self._call(["plugins", "enable", "skysense_qgis"])

    def run(self, algorithm: str, **inputs: object) -> tuple[dict[str, str], float, float]:
        """Run one algorithm.

        Returns:
            Its results, seconds, and the peak memory in MB of QGIS and the engine, its child, together.
        """
        started = time.monotonic()
        text, peak = self._call(["--json", "run", algorithm, "-"], json.dumps({"inputs": inputs}))
        return json.loads(text)["results"], time.monotonic() - started, peak

    def _call(self, arguments: list[str], text: str = "") -> tuple[str, float]:
        process = subprocess.Popen(["qgis_process", *arguments], env=self._environment, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
        with PeakMemory(process.pid) as peak:
            out, err = process.communicate(text)
        if process.returncode:
            raise SystemExit(f"qgis_process {' '.join(arguments)} failed:\n{err}\n{out}")
        return out, peak.mb


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--work", type=Path, default=REPOSITORY / "demo/work", help="imagery and profile (default: demo/work)")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "demo/output", help="results (default: demo/output)")
    parser.add_argument("--uv", type=Path, default=REPOSITORY / ".uv/bin/uv", help="installer that unpacks the imagery")
    options = parser.parse_args()
    started = time.monotonic()
    options.work.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(options.output, ignore_errors=True)
    options.output.mkdir(parents=True)
    print("Unpacking the imagery …", flush=True)
    inputs = imagery.fetch(options.uv, Path(sys.executable), options.work)
    qgis = Qgis(options.work)
    rows = []
    for job in (embed, segment, change, train, apply):
        row = job(qgis, inputs, options.output)
        rows.append(row)
        print(f"{row.job}: {row.seconds:.0f} s", flush=True)
    print_table(rows)
    print("\npeak MB: resident memory of qgis_process and the engine together; pages that both share count twice.")
    print(f"Results and pictures: {options.output}\n{time.monotonic() - started:.0f} seconds in all.")
    return 0


def embed(qgis: Qgis, inputs: imagery.Imagery, output: Path) -> Row:
    features, picture = output / "features.tif", output / "features_rgb.tif"
    _, seconds, peak = qgis.run(
        "skysense:embed",
        LAYERS=[str(inputs.pair_s2), str(inputs.pair_s1)],
        OUTPUT=str(features),
        PICTURE=str(picture),
    )
    pictures.rgb(picture, output / "features.png")
    return Row("embed", "Sentinel-2 + Sentinel-1, fused", features.name, seconds, peak, quality.features(features))


def segment(qgis: Qgis, inputs: imagery.Imagery, output: Path) -> Row:
    polygons = output / "buildings.gpkg"
    _, seconds, peak = qgis.run(
        "skysense:segment_points",
        LAYER=str(inputs.buildings_image),
        POINTS=str(inputs.building_points),
        OBJECT_SIZE=25,
        OUTPUT=str(polygons),
    )
    pictures.outlines(inputs.buildings_image, polygons, output / "buildings.png")
    figure = quality.outlines(polygons, inputs.building_outlines, key="building")
    return Row("segment_points", "panchromatic 0.5 m, one click a building", polygons.name, seconds, peak, figure)


def change(qgis: Qgis, inputs: imagery.Imagery, output: Path) -> Row:
    score, mask = output / "change_score.tif", output / "change.tif"
    _, seconds, peak = qgis.run(
        "skysense:detect_change",
        BEFORE=[str(inputs.before)],
        AFTER=[str(inputs.after)],
        SCORE=str(score),
        MASK=str(mask),
        POLYGONS=str(output / "changes.gpkg"),
    )
    pictures.classes(mask, output / "change.png")
    return Row("detect_change", "Landsat 5, July 2008 and 2011", mask.name, seconds, peak, quality.share(mask))


def train(qgis: Qgis, inputs: imagery.Imagery, output: Path) -> Row:
    model = output / "land_use.safetensors"
    _, seconds, peak = qgis.run(
        "skysense:train_segmentation",
        LAYERS=[str(inputs.sentinel2)],
        LABELS=str(inputs.land_use),
        CLASS_FIELD="fclass",
        NAME="Land use",
        MODEL=str(model),
    )
    return Row("train_segmentation", "Sentinel-2, 8 classes of OpenStreetMap", model.name, seconds, peak, quality.card(model))


def apply(qgis: Qgis, inputs: imagery.Imagery, output: Path) -> Row:
    classes, confidence = output / "land_use.tif", output / "confidence.tif"
    _, seconds, peak = qgis.run(
        "skysense:apply_model",
        LAYERS=[str(inputs.sentinel2)],
        MODEL=str(output / "land_use.safetensors"),
        OUTPUT=str(classes),
        CONFIDENCE=str(confidence),
    )
    pictures.classes(classes, output / "land_use.png")
    figure = quality.agreement(classes, output / "land_use.safetensors", inputs.land_use, "fclass")
    return Row("apply_model", "Sentinel-2", classes.name, seconds, peak, figure)


def print_table(rows: list[Row]) -> None:
    table = [("job", "input", "output", "seconds", "peak MB", "quality")]
    table += [(r.job, r.source, r.output, f"{r.seconds:.1f}", f"{r.peak_mb:.0f}", r.quality) for r in rows]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    print()
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


if __name__ == "__main__":
    raise SystemExit(main())
