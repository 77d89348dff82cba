"""Outputs that would replace what is read, or each other: refused before anything starts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from qgis.core import (
    QgsMapLayer,
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingOutputLayerDefinition,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterFile,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterVectorLayer,
    QgsProviderRegistry,
)

if TYPE_CHECKING:
    from .base import SkySenseAlgorithm

VECTORS = (QgsProcessingParameterVectorLayer, QgsProcessingParameterFeatureSource)


def overwritten(algorithm: SkySenseAlgorithm, parameters: dict, context: QgsProcessingContext) -> str:
    """What is wrong with the outputs' places, and what to do; empty where each is a file of its own."""
    read = {_key(path) for path in _sources(algorithm, parameters, context)}
    written: dict[str, str] = {}
    for definition in algorithm.destinationParameterDefinitions():
        path = _destination(parameters.get(definition.name()))
        if not path:
            continue
        key, label, name = _key(path), definition.description(), Path(path).name
        if key in read:
            return algorithm.tr("The output {} is one of the inputs. Choose another name for the output.").format(name)
        if key in written:
            text = algorithm.tr("“{}” and “{}” have the same file, {}. Choose another name for one of them.")
            return text.format(written[key], label, name)
        written[key] = label
    return ""


def _sources(algorithm: SkySenseAlgorithm, parameters: dict, context: QgsProcessingContext) -> Iterator[str]:
    """Files of everything that is read."""
    for definition in algorithm.parameterDefinitions():
        name = definition.name()
        if isinstance(definition, QgsProcessingParameterMultipleLayers):
            layers = algorithm.parameterAsLayerList(parameters, name, context)
        elif isinstance(definition, QgsProcessingParameterRasterLayer):
            layers = [algorithm.parameterAsRasterLayer(parameters, name, context)]
        elif isinstance(definition, VECTORS):
            layers = [algorithm.vector_layer(parameters, name, context)[0]]
        else:
            layers = []
            if isinstance(definition, QgsProcessingParameterFile):
                yield algorithm.parameterAsFile(parameters, name, context)
        yield from (_file_of(layer) for layer in layers if layer is not None)


def _file_of(layer: QgsMapLayer) -> str:
    return str(QgsProviderRegistry.instance().decodeUri(layer.providerType(), layer.source()).get("path") or "")


def _destination(value: object) -> str:
    """The file that the parameter names; empty for temporary ones and for none."""
    if isinstance(value, QgsProcessingOutputLayerDefinition):
        value = value.sink.staticValue()
    return value if isinstance(value, str) and value != QgsProcessing.TEMPORARY_OUTPUT else ""


def _key(path: str) -> str:
    """The same for all ways to write the path of one file."""
    return os.path.normcase(os.path.realpath(path)) if path else ""
