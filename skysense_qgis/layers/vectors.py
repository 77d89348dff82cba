"""Vector files: whole in their place, or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from osgeo import gdal
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransformContext,
    QgsFeature,
    QgsFeedback,
    QgsFields,
    QgsVectorFileWriter,
    QgsVectorLayer,
    QgsWkbTypes,
)

from .sources import LayerError

OWN_OF_GEOPACKAGES = ("fid", "ogc_fid")  # kept, they make rows fail or double in the next file
_READ_AGAIN = (".gpkg", ".geojson", ".shp", ".fgb")  # others may rename, merge or not read back
# What lies beside a file and makes no sense beside the one that replaces it: indexes, changes that SQLite had not yet
# written into it.
_STALE = {
    ".shp": (".cpg", ".prj", ".qpj", ".qix", ".sbn", ".sbx", ".idm", ".ind"),
    ".gpkg": (".gpkg-wal", ".gpkg-shm", ".gpkg-journal"),
}


def open_polygons(path: str, layer_name: str | None = None) -> QgsVectorLayer:
    """A vector file that the engine wrote.

    Raises:
        LayerError: it cannot be opened.
    """
    layer = QgsVectorLayer(f"{path}|layername={layer_name}" if layer_name else path, Path(path).stem, "ogr")
    if not layer.isValid():
        raise LayerError(f"The polygons that the engine wrote cannot be opened: {path}. Try again with another output.")
    return layer


def write_polygons(
    path: str,
    fields: QgsFields,
    features: Iterable[QgsFeature],
    crs: QgsCoordinateReferenceSystem,
    transforms: QgsCoordinateTransformContext,
    feedback: QgsFeedback,
) -> None:
    """Write multipolygons in the format that the file's name asks for. What is there stays until all is written.

    Raises:
        LayerError: they cannot be written there, or it was cancelled.
    """
    target = Path(path)
    with _folder_beside(target) as folder:
        draft = folder / target.name
        with _in_words(target):
            written = _write(draft, fields, features, crs, transforms, feedback)
            _check(draft, written)
        _replace(target, draft)


def convert(draft: str, path: str, transforms: QgsCoordinateTransformContext, feedback: QgsFeedback) -> None:
    """Copy the polygons of the engine's GeoPackage into the file that was asked for."""
    layer = open_polygons(draft)
    copy_polygons(path, layer.fields(), layer.getFeatures(), layer.crs(), transforms, feedback)


def copy_polygons(
    path: str,
    fields: QgsFields,
    features: Iterable[QgsFeature],
    crs: QgsCoordinateReferenceSystem,
    transforms: QgsCoordinateTransformContext,
    feedback: QgsFeedback,
) -> None:
    """As `write_polygons`, with the features of a layer and its fields, but for those that number a GeoPackage's rows."""
    kept = [i for i, field in enumerate(fields) if field.name().lower() not in OWN_OF_GEOPACKAGES]
    kept_fields = QgsFields()
    for index in kept:
        kept_fields.append(fields.at(index))

    def copies() -> Iterable[QgsFeature]:
        for source in features:
            feature = QgsFeature(kept_fields)
            feature.setGeometry(source.geometry())
            attributes = source.attributes()
            feature.setAttributes([attributes[index] for index in kept])
            yield feature

    write_polygons(path, kept_fields, copies(), crs, transforms, feedback)


def _write(
    path: Path,
    fields: QgsFields,
    features: Iterable[QgsFeature],
    crs: QgsCoordinateReferenceSystem,
    transforms: QgsCoordinateTransformContext,
    feedback: QgsFeedback,
) -> int:
    """A new file, closed; how many features went into it."""
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = QgsVectorFileWriter.driverForExtension(path.suffix) or "GPKG"
    options.layerName = path.stem
    writer = QgsVectorFileWriter.create(str(path), fields, QgsWkbTypes.Type.MultiPolygon, crs, transforms, options)
    written = 0
    try:
        if writer.hasError() != QgsVectorFileWriter.WriterError.NoError:
            raise LayerError(f"{path.name} cannot be written: {writer.errorMessage()}. Choose another file.")
        for feature in features:
            if feedback.isCanceled():
                raise LayerError("The job was cancelled. Start it again when you like.")
            if not writer.addFeature(feature):
                raise LayerError(f"{path.name} cannot be written: {writer.errorMessage()}. Check free space and its format.")
            written += 1
        if not writer.flushBuffer():
            raise LayerError(f"{path.name} cannot be written: {writer.errorMessage()}. Check free space.")
    finally:
        del writer  # closes the file, a traceback must not keep it open; GDAL tells of its last errors only now
    return written


def _check(path: Path, written: int) -> None:
    """Read what was written: some of GDAL's formats tell nobody that the disk is full."""
    if path.suffix.lower() not in _READ_AGAIN:
        return
    layer = QgsVectorLayer(str(path), path.stem, "ogr")
    if not layer.isValid() or 0 <= layer.featureCount() < written:
        raise LayerError(f"{path.name} cannot be written: only a part of it is there. Check free space.")


@contextmanager
def _folder_beside(target: Path) -> Iterator[Path]:
    """A folder on the disk of the target that is gone afterwards."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    except OSError as error:
        raise LayerError(f"{target.name} cannot be written: {error.strerror}. Choose another file.") from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _in_words(target: Path) -> Iterator[None]:
    """GDAL's failures as ours, also those that QGIS does not tell, whether GDAL's exceptions are on or off."""
    errors: list[str] = []
    gdal.PushErrorHandler(lambda level, _, text: errors.append(text) if level >= gdal.CE_Failure else None)
    try:
        yield
    finally:
        gdal.PopErrorHandler()
    if errors:
        raise LayerError(f"{target.name} cannot be written: {errors[0]}. Check free space and rights of {target.parent}.")


def _replace(target: Path, draft: Path) -> None:
    """Put the draft and what belongs to it in the target's place, the file that is opened last."""
    parts = sorted(draft.parent.iterdir(), key=lambda part: part == draft)
    stale = {target.with_suffix(suffix).name for suffix in _STALE.get(target.suffix.lower(), ())}
    try:
        for name in stale - {part.name for part in parts}:
            (target.parent / name).unlink(missing_ok=True)
        for part in parts:
            part.replace(target.parent / part.name)
    except OSError as error:
        raise LayerError(f"{target.name} cannot be replaced: {error.strerror}. Close what has it open, or choose another name.") from None
