"""Vector files, whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from osgeo import gdal
from qgis.core import (
    Qgis,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransformContext,
    QgsFeature,
    QgsFields,
    QgsVectorFileWriter,
    QgsVectorLayer,
)

from .sources import LayerError

_OWN_OF_GEOPACKAGES = ("fid", "ogc_fid")  # kept, they make rows fail or double in the next file
_INDEXES = (".qix", ".sbn", ".sbx")  # of the shapefile that was there before


class Cancellable(Protocol):
    """A QgsFeedback or a QgsTask."""

    def isCanceled(self) -> bool: ...


def open_polygons(path: str) -> QgsVectorLayer:
    """A vector file that the engine wrote.

    Raises:
        LayerError: it cannot be opened.
    """
    layer = QgsVectorLayer(path, Path(path).stem, "ogr")
    if not layer.isValid():
        raise LayerError(f"The polygons that the engine wrote cannot be opened: {path}. Try again with another output.")
    return layer


def convert(draft: str, path: str, transforms: QgsCoordinateTransformContext, feedback: Cancellable) -> None:
    """Copy the polygons of the engine's GeoPackage into the file that was asked for.

    Raises:
        LayerError: they cannot be written there, or it was cancelled.
    """
    layer = open_polygons(draft)
    copy_features(
        path, layer.getFeatures(), layer.fields(), _OWN_OF_GEOPACKAGES, Qgis.WkbType.MultiPolygon, layer.crs(), transforms, feedback
    )


def copy_features(
    path: str,
    features: Iterable[QgsFeature],
    fields: QgsFields,
    left_out: Container[str],
    kind: Qgis.WkbType,
    crs: QgsCoordinateReferenceSystem,
    transforms: QgsCoordinateTransformContext,
    feedback: Cancellable,
) -> None:
    """As `write_features`, without the fields of these names in small letters."""
    kept = [index for index, field in enumerate(fields) if field.name().lower() not in left_out]
    own = QgsFields()
    for index in kept:
        own.append(fields.at(index))

    def rows() -> Iterator[QgsFeature]:
        for source in features:
            row = QgsFeature(own)
            row.setGeometry(source.geometry())
            values = source.attributes()
            row.setAttributes([values[index] for index in kept])
            yield row

    write_features(path, rows(), own, kind, crs, transforms, feedback)


def write_features(
    path: str,
    features: Iterable[QgsFeature],
    fields: QgsFields,
    kind: Qgis.WkbType,
    crs: QgsCoordinateReferenceSystem,
    transforms: QgsCoordinateTransformContext,
    feedback: Cancellable,
) -> None:
    """Write a file of one layer in the format that the name asks for.

    Args:
        path: what was there before is replaced, once the file is whole.
        features: with these fields.
        fields: of the layer.
        kind: of its geometries.
        crs: of the features.
        transforms: of the project.
        feedback: asked with every feature whether to go on.

    Raises:
        LayerError: it cannot be written there, or was cancelled.
    """
    target = Path(path)
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = QgsVectorFileWriter.driverForExtension(target.suffix) or "GPKG"
    options.layerName = target.stem
    with _whole(target) as part:
        writer = QgsVectorFileWriter.create(str(part), fields, kind, crs, transforms, options)
        count = 0
        try:
            fine = writer.hasError() == QgsVectorFileWriter.WriterError.NoError
            for feature in features if fine else ():
                if feedback.isCanceled():
                    raise LayerError(f"Writing {target.name} was cancelled. Start it again when you like.")
                fine = writer.addFeature(feature, QgsVectorFileWriter.Flag.FastInsert)
                if not fine:
                    break
                count += 1
            fine = fine and writer.flushBuffer()
            reason = writer.errorMessage()
        finally:
            del writer  # closes the file
        if not fine:
            raise _cannot_write(target, reason)
        written = QgsVectorLayer(str(part), "written", "ogr")
        if not written.isValid() or written.featureCount() != count:  # some drivers tell no error on a full disk
            raise _cannot_write(target, "the disk may be full")
        del written


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """A file of this name in a hidden folder beside it; in the end it comes to its place with all that belongs to it."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{target.stem[:40]}.", suffix=".partial", dir=target.parent))
    except OSError as error:
        raise _cannot_write(target, error.strerror) from None
    gdal.PushErrorHandler("CPLQuietErrorHandler")  # what goes wrong is told in our words
    try:
        yield folder / target.name
        for part in sorted(folder.iterdir(), key=lambda part: part.name == target.name):  # the file itself last
            os.replace(part, target.with_name(part.name))
        if target.suffix.lower() == ".shp":
            for suffix in _INDEXES:
                target.with_suffix(suffix).unlink(missing_ok=True)
    except OSError as error:
        raise _cannot_write(target, error.strerror) from None
    finally:
        gdal.PopErrorHandler()
        shutil.rmtree(folder, ignore_errors=True)


def _cannot_write(target: Path, reason: str) -> LayerError:
    return LayerError(f"{target.name} cannot be written: {reason}. Check free space and rights of the folder, or choose another file.")
