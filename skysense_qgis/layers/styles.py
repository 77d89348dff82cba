"""How results look. Only layers are touched, so that panels and Processing algorithms share these."""

from __future__ import annotations

from collections.abc import Sequence

from qgis.core import (
    Qgis,
    QgsCategorizedSymbolRenderer,
    QgsColorRampShader,
    QgsContrastEnhancement,
    QgsFillSymbol,
    QgsPalettedRasterRenderer,
    QgsRasterLayer,
    QgsRasterShader,
    QgsRendererCategory,
    QgsSingleBandGrayRenderer,
    QgsSingleBandPseudoColorRenderer,
    QgsSingleSymbolRenderer,
    QgsStyle,
    QgsVectorLayer,
)
from qgis.PyQt.QtGui import QColor

from ..protocol.requests import ClassInfo

CHANGED = "#d62728"
OUTLINE = "#f28f1c"
FOUND = "#2f7ed8"


def style_score(layer: QgsRasterLayer, threshold: float) -> None:
    """A change score: dark below the threshold, glowing above it."""
    _ramped(layer, "Inferno", max(2.0 * threshold, 1e-6))


def style_likeness(layer: QgsRasterLayer) -> None:
    """A score from 0, unlike the examples, to 1, alike."""
    _ramped(layer, "Viridis", 1.0)


def _ramped(layer: QgsRasterLayer, ramp: str, most: float) -> None:
    """One of QGIS's colour ramps from 0 to `most`."""
    shader = QgsColorRampShader(
        0.0, most, QgsStyle.defaultStyle().colorRamp(ramp), Qgis.ShaderInterpolationMethod.Linear
    )
    shader.classifyColorRamp(9)
    raster_shader = QgsRasterShader()
    raster_shader.setRasterShaderFunction(shader)
    renderer = QgsSingleBandPseudoColorRenderer(layer.dataProvider(), 1, raster_shader)
    renderer.setClassificationMin(0.0)
    renderer.setClassificationMax(most)
    layer.setRenderer(renderer)


def style_mask(layer: QgsRasterLayer, label: str, colour: str = CHANGED) -> None:
    """The pixels of a mask in one colour, all others transparent."""
    entry = QgsPalettedRasterRenderer.Class(1.0, QColor(colour), label)
    layer.setRenderer(QgsPalettedRasterRenderer(layer.dataProvider(), 1, [entry]))


def style_changes(layer: QgsVectorLayer) -> None:
    """Changed areas as outlines, so that the picture below stays visible."""
    symbol = QgsFillSymbol.createSimple({"color": "242,143,28,40", "outline_color": OUTLINE, "outline_width": "0.5"})
    layer.setRenderer(QgsSingleSymbolRenderer(symbol))


def style_objects(layer: QgsVectorLayer) -> None:
    """Segmented objects: an outline and a breath of colour."""
    symbol = QgsFillSymbol.createSimple({"color": "47,126,216,50", "outline_color": "#2f7ed8", "outline_width": "0.5"})
    layer.setRenderer(QgsSingleSymbolRenderer(symbol))


def style_kept(layer: QgsVectorLayer, classes: Sequence[tuple[str, str]]) -> None:
    """Kept polygons in the colours of their classes, name and "#rrggbb"; classes of earlier lists keep theirs."""
    renderer = layer.renderer()
    known: dict[str, QColor] = {}
    if isinstance(renderer, QgsCategorizedSymbolRenderer):
        known = {str(category.value()): category.symbol().color() for category in renderer.categories()}
    wanted = {**known, **{name: QColor(colour) for name, colour in classes}}
    if isinstance(renderer, QgsCategorizedSymbolRenderer) and {n: c.rgb() for n, c in known.items()} == {
        n: c.rgb() for n, c in wanted.items()
    }:
        return
    categories = []
    for name, colour in wanted.items():
        fill = f"{colour.red()},{colour.green()},{colour.blue()},70"
        symbol = QgsFillSymbol.createSimple({"color": fill, "outline_color": colour.name(), "outline_width": "0.5"})
        categories.append(QgsRendererCategory(name, symbol, name))
    layer.setRenderer(QgsCategorizedSymbolRenderer("class", categories))
    layer.triggerRepaint()


def style_classes(layer: QgsRasterLayer, classes: Sequence[ClassInfo]) -> None:
    """A class raster with the classes' colours and names; "no data" stays transparent."""
    entries = [QgsPalettedRasterRenderer.Class(float(c.value), QColor(c.colour), c.name) for c in classes]
    layer.setRenderer(QgsPalettedRasterRenderer(layer.dataProvider(), 1, entries))


def style_confidence(layer: QgsRasterLayer) -> None:
    """Confidence in per cent, dark where the model is unsure."""
    provider = layer.dataProvider()
    renderer = QgsSingleBandGrayRenderer(provider, 1)
    stretch = QgsContrastEnhancement(provider.dataType(1))
    stretch.setContrastEnhancementAlgorithm(QgsContrastEnhancement.ContrastEnhancementAlgorithm.StretchToMinimumMaximum)
    stretch.setMinimumValue(0.0)
    stretch.setMaximumValue(100.0)
    renderer.setContrastEnhancement(stretch)
    layer.setRenderer(renderer)
