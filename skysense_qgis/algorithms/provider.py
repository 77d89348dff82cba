"""The SkySense group in the Processing toolbox."""

from __future__ import annotations

from qgis.core import QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from ..client.client import Engine
from ..paths import RESOURCES, version
from .apply_model import ApplyModelAlgorithm
from .detect_change import DetectChangeAlgorithm
from .embed import EmbedAlgorithm
from .make_shards import MakeShardsAlgorithm
from .pretrain import PretrainAlgorithm
from .segment_by_example import SegmentByExampleAlgorithm
from .segment_points import SegmentPointsAlgorithm
from .train_segmentation import TrainSegmentationAlgorithm

ALGORITHMS = (
    EmbedAlgorithm,
    SegmentPointsAlgorithm,
    SegmentByExampleAlgorithm,
    DetectChangeAlgorithm,
    TrainSegmentationAlgorithm,
    ApplyModelAlgorithm,
    MakeShardsAlgorithm,
    PretrainAlgorithm,
)


class SkySenseProvider(QgsProcessingProvider):
    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine

    def loadAlgorithms(self) -> None:
        for algorithm in ALGORITHMS:
            self.addAlgorithm(algorithm(self._engine))

    def id(self) -> str:
        return "skysense"

    def name(self) -> str:
        return "SkySense"

    def versionInfo(self) -> str:
        return version()

    def supportedOutputRasterLayerExtensions(self) -> list[str]:
        """The engine writes Cloud-Optimised GeoTIFFs."""
        return ["tif", "tiff"]

    def supportsNonFileBasedOutput(self) -> bool:
        return False

    def icon(self) -> QIcon:
        return QIcon(str(RESOURCES / "icons" / "skysense.svg"))
