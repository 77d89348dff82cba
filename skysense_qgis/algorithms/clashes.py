"""Outputs that would overwrite what a job reads, or one another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from qgis.core import (
    QgsMapLayer,
    QgsProcessing,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingOutputLayerDefinition,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterFile,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterVectorLayer,
    QgsProcessingUtils,
    QgsProperty,
    QgsProviderRegistry,
)

TEMPORARY = QgsProcessing.TEMPORARY_OUTPUT
_SOURCES = (
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterVectorLayer,
    QgsProcessingParameterFile,
)


def clash_of(algorithm: QgsProcessingAlgorithm, parameters: dict, context: QgsProcessingContext) -> str:
    """Which output would overwrite an input or another output, and what to do; empty where none does.

    Layers are looked at, so that it has to be asked on the main thread.
    """
    taken: list[tuple[Path, str]] = []
    for definition in algorithm.parameterDefinitions():
        if isinstance(definition, _SOURCES):
            for path in _paths(parameters.get(definition.name()), context):
                taken.append((path, algorithm.tr("one of the inputs")))
    for definition in algorithm.destinationParameterDefinitions():
        for path in _paths(parameters.get(definition.name()), context):
            for other, what in taken:
                if _same(path, other):
                    return algorithm.tr("{} would overwrite {}: {}. Choose another name.").format(
                        definition.description(), what, path
                    )
            taken.append((path, algorithm.tr("another output")))
    return ""


def _paths(value: object, context: QgsProcessingContext) -> Iterator[Path]:
    """The files behind a parameter's value; nothing for layers in memory, services and temporary outputs."""
    if isinstance(value, QgsProcessingFeatureSourceDefinition):
        value = value.source
    if isinstance(value, QgsProcessingOutputLayerDefinition):
        value = value.sink
    if isinstance(value, QgsProperty):
        value, _ = value.valueAsString(context.expressionContext())
    if isinstance(value, (list, tuple)):
        for entry in value:
            yield from _paths(entry, context)
        return
    layer = QgsProcessingUtils.mapLayerFromString(value, context, False) if isinstance(value, str) and value else value
    if isinstance(layer, QgsMapLayer):
        provider, source = layer.providerType(), layer.source()
    elif isinstance(value, str) and value not in ("", TEMPORARY):
        provider, source = "ogr", value
    else:
        return
    path = QgsProviderRegistry.instance().decodeUri(provider, source).get("path")
    if path:
        yield Path(str(path))


def _same(one: Path, other: Path) -> bool:
    """Also by a link, another spelling of the folder, or other letter case where the disk makes no difference."""
    try:
        return one.resolve() == other.resolve() or one.samefile(other)
    except OSError:  # one of them is not there yet
        return False
