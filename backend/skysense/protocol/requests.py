"""One frozen dataclass per request and per result; `RESULTS` says which request gives which result.

Paths are absolute. Lengths carry their unit in the name. A request holds everything that decides its output, so that
the plugin, qgis_process and the command line, sending the same request, get the same files.
"""

from __future__ import annotations

from dataclasses import dataclass

from .scene_source import ArrayFile, BandIndex, Display, Scaling, SceneSource, ViewSource


# -- looking ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class DescribeRaster:  # -> RasterDescription
    """Open one raster and say what it is."""

    path: str
    crs: str = ""  # what the user says that the file lies in; "" = what the file says


@dataclass(frozen=True)
class RasterDescription:
    path: str
    height: int
    width: int
    count: int
    dtype: str
    crs: str  # "" where neither the file nor the user names one
    transform: tuple[float, ...]  # affine a, b, c, d, e, f
    gsd_m: float | None  # at the centre; None without a CRS
    band_labels: tuple[str, ...]  # description or colour interpretation of each band
    sensor: str | None  # guessed key of SENSORS
    bands: tuple[BandIndex, ...]  # guessed mapping
    scaling: Scaling
    date: str | None
    reasons: tuple[str, ...]  # one sentence per guess, for the user
    display: Display
    assigned_crs: str  # of the request
    # What other guesses follow from, once the user names another sensor or date:
    low: float  # 2 % and 98 % of the first band's valid values, as stored
    high: float
    scale: float  # of the file itself (GDAL's scale and offset)
    offset: float
    processing_baseline: str  # "04.00" as Sentinel-2 products tell it, "" where the file does not


@dataclass(frozen=True)
class EstimateCost:  # -> CostEstimate
    """Ahead of a long job: how long, how much disk, how many pixels."""

    job: object  # EmbedScene, ApplyModel, SegmentByExample or DetectChange, as it would be sent


@dataclass(frozen=True)
class CostEstimate:
    height: int
    width: int
    tiles: int
    seconds: float
    disk_bytes: int  # at most, while the job finishes its files
    free_bytes: int  # on the disk of the output


@dataclass(frozen=True)
class ListModels:  # -> ModelList
    """The bundled encoders and the user's own models under `folder`."""

    folder: str


@dataclass(frozen=True)
class ClassInfo:
    value: int  # in the class raster; 0 is reserved for "no data"
    name: str
    colour: str  # "#rrggbb"


@dataclass(frozen=True)
class ClassAccuracy:
    name: str
    iou: float | None  # None: the class is absent from the validation blocks
    precision: float | None
    recall: float | None
    pixels: int  # labelled validation pixels


@dataclass(frozen=True)
class ModelCard:
    """What the interface shows of an encoder or a fine-tuned model."""

    key: str  # of ENCODERS, or the file's path for the user's own models
    kind: str  # "encoder", "segmentation", or "damaged": a file that cannot be used, with the reason in its notes
    label: str
    sensors: tuple[str, ...]
    parameters: int
    licence: str
    description: str
    path: str | None  # weights file; None where it is missing
    digest: str | None  # "sha256:<hex>" of the weights
    encoder: str  # the encoder that it stands on, its own key for encoders
    classes: tuple[ClassInfo, ...] = ()
    accuracy: tuple[ClassAccuracy, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()  # rows: reference, columns: predicted, in cells of the class list
    mean_iou: float | None = None
    notes: tuple[str, ...] = ()  # data, dates, recipe: one sentence each


@dataclass(frozen=True)
class ModelList:
    models: tuple[ModelCard, ...]


PRECISIONS = ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class ConvertModel:  # -> ModelConverted
    """A released checkpoint, or all the files of one, as an encoder that every job can use."""

    paths: tuple[str, ...]  # .pth, .pt, .ckpt, .bin or .safetensors; one that is in our layout is checked and copied
    output_path: str  # .safetensors
    precision: str = "float32"  # of the file, one of PRECISIONS


@dataclass(frozen=True)
class ModelConverted:
    card: ModelCard
    seconds: float


@dataclass(frozen=True)
class MeasureSpeed:  # -> SpeedMeasured
    """How fast an encoder is on this machine."""

    encoder: str
    device: str = "auto"


@dataclass(frozen=True)
class SpeedMeasured:
    encoder: str
    megapixels_per_second: float  # of its first sensor, in tiles of 512 x 512 pixels
    device: str
    mode: str  # "fp32" or "bf16", and why


# -- feature maps ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class EmbedScene:  # -> FeatureMapWritten
    """Dense features of a scene as a raster with one band per component."""

    scene: SceneSource
    output_path: str  # COG, float32 stored with 16 bits
    picture_path: str | None  # COG, uint8 RGB of the first three principal components
    encoder: str = "skysense-nano"
    components: int = 16  # principal components; 0 keeps every feature
    tile_px: int = 0  # 0: what suits the sensor
    device: str = "auto"  # "auto", "cpu", "cuda"


@dataclass(frozen=True)
class FeatureMapWritten:
    path: str
    picture_path: str | None
    bands: int
    height: int
    width: int
    explained_variance: float | None  # share kept by the components; None when all features are kept
    encoder_digest: str
    seconds: float


# -- click-to-segment ------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class OpenView:  # -> ViewReady
    """Encode a view so that prompts are answered at once."""

    source: ViewSource
    mask_path: str  # where masks go: raw files beside this name, in the session's private folder
    object_size_m: float | None = None  # typical diameter on the ground; sets the scale that the method works at


@dataclass(frozen=True)
class ViewReady:
    view: str  # name for later requests
    height: int
    width: int
    milliseconds: float


@dataclass(frozen=True)
class Prompt:
    """A point or a box, in the view's CRS. A box has all four numbers; a point only x and y."""

    x: float
    y: float
    positive: bool = True
    x2: float | None = None
    y2: float | None = None


@dataclass(frozen=True)
class PromptView:  # -> MaskReady
    """The mask for all prompts so far, in the order they were made. Undo is the same list without its last."""

    view: str
    prompts: tuple[Prompt, ...]


@dataclass(frozen=True)
class MaskReady:
    view: str
    mask: ArrayFile  # uint8 (H, W): 1 inside
    pixels: int
    milliseconds: float


@dataclass(frozen=True)
class OutlineMask:  # -> OutlineReady
    """The polygon of the mask for these prompts, in the view's CRS."""

    view: str
    prompts: tuple[Prompt, ...]
    simplify_px: float = 1.0  # 0 keeps every pixel corner
    fill_holes_px: int = 0  # holes up to this many pixels are filled


@dataclass(frozen=True)
class OutlineReady:
    wkt: str  # MULTIPOLYGON; "MULTIPOLYGON EMPTY" when nothing is selected
    pixels: int
    area_m2: float | None  # on the ground; None without a CRS


@dataclass(frozen=True)
class CloseView:  # -> ViewClosed
    view: str


@dataclass(frozen=True)
class ViewClosed:
    view: str


@dataclass(frozen=True)
class SegmentPoints:  # -> PolygonsWritten
    """One polygon per object of a point layer, with the attributes of the object's first point."""

    path: str  # raster
    points_path: str  # any vector file that OGR reads
    points_layer: str | None
    output_path: str  # GeoPackage
    object_field: str = ""  # whole numbers, the same for all points of an object; "": each point its own object
    positive_field: str = ""  # 0, false, no or negative for points against the object; "": all for it
    class_field: str = ""  # what becomes the field "class"; "": the points' own of that name
    crs: str = ""  # of the raster, as for AcquisitionSource
    display: Display | None = None  # None: computed as DescribeRaster does
    name: str = ""  # of the raster's layer, for the field "source"; "": the file's
    date: str | None = None  # ISO day, for the field "date"
    object_size_m: float | None = None  # typical diameter; sets the view's scale
    simplify_px: float = 1.0
    fill_holes_px: int = 0


@dataclass(frozen=True)
class PolygonsWritten:
    path: str
    layer: str
    count: int
    empty: tuple[int, ...]  # object ids without a polygon (outside the raster, on nodata)
    seconds: float


# -- more of the same ------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class SegmentByExample:  # -> ExampleFound
    """Everything in a scene that looks like a few example polygons."""

    scene: SceneSource
    examples_path: str  # polygons: GeoPackage, GeoJSON, Shapefile or FlatGeobuf
    examples_layer: str | None
    mask_path: str  # COG uint8 with palette: 1 alike, 0 not, 255 no data
    polygons_path: str | None  # GeoPackage
    score_path: str | None  # COG float32: 0 unlike … 1 alike
    encoder: str = "skysense-nano"
    threshold: float | None = None  # of the score, 0..1; None: found from the examples and the scene
    minimum_area_m2: float = 0.0
    tile_px: int = 0  # 0: what suits the sensor
    device: str = "auto"


EXAMPLE_METHODS = ("prototype", "official")


@dataclass(frozen=True)
class ExampleFound:
    mask_path: str
    polygons_path: str | None
    score_path: str | None
    method: str  # one of EXAMPLE_METHODS: what the model can do decides
    procedure: str  # one sentence for the user: how it was found
    threshold: float  # the one used
    found_share: float  # of valid pixels
    polygons: int
    seconds: float


# -- change ----------------------------------------------------------------------------------------------------------
CHANGE_METHODS = ("auto", "change-vector", "log-ratio", "deep-features")


@dataclass(frozen=True)
class DetectChange:  # -> ChangeWritten
    """Two dated scenes of one place: score, mask and polygons of what changed."""

    before: SceneSource
    after: SceneSource
    score_path: str  # COG float32
    mask_path: str | None  # COG uint8: 1 changed, 0 not, 255 no data
    polygons_path: str | None  # GeoPackage
    method: str = "auto"  # one of CHANGE_METHODS
    encoder: str = "skysense-nano"
    threshold: float | None = None  # None: found by the method's rule
    minimum_area_m2: float = 0.0
    tile_px: int = 0  # 0: what suits the sensor
    device: str = "auto"


@dataclass(frozen=True)
class ChangeWritten:
    score_path: str
    mask_path: str | None
    polygons_path: str | None
    method: str  # the one used
    threshold: float
    changed_share: float  # of valid pixels
    polygons: int
    before_date: str
    after_date: str
    warnings: tuple[str, ...]
    seconds: float


# -- fine-tuning -----------------------------------------------------------------------------------------------------
TUNED_PARTS = ("head", "last-blocks", "all")


@dataclass(frozen=True)
class TrainSegmentation:  # -> ModelTrained
    """Fine-tune on polygons of classes over a scene."""

    scene: SceneSource
    labels_path: str  # GeoPackage, GeoJSON, Shapefile or FlatGeobuf
    labels_layer: str | None
    class_field: str
    model_path: str  # .safetensors to write
    name: str
    encoder: str = "skysense-nano"
    tune: str = "head"  # one of TUNED_PARTS
    steps: int = 300
    batch: int = 8  # halved when memory runs out
    learning_rate: float = 1e-3
    validation_share: float = 0.25  # of spatial blocks
    crop_px: int = 256
    seed: int = 0
    device: str = "auto"


@dataclass(frozen=True)
class ModelTrained:
    card: ModelCard
    steps: int  # done; fewer than asked for when cancelled or converged
    batch: int  # at the end
    best_step: int
    stopped: str  # "finished", "cancelled", or "diverged" when the loss was no number any more
    seconds: float


@dataclass(frozen=True)
class MakeShards:  # -> ShardsMade
    """Cut a scene, folders of images, or both, into samples for pretraining.

    A run that was stopped goes on after its last whole shard when the same request comes again.
    """

    scene: SceneSource | None  # None: the folders alone
    output_folder: str
    window_px: int = 0  # side of a sample in pixels of the finest sensor; 0: what suits it
    least_data: float = 0.5  # share of a window's pixels with data, below which it is left out
    shard_bytes: int = 64_000_000  # a shard is closed when it holds as much
    labels_path: str | None = None  # polygons on the scene: GeoPackage, GeoJSON, Shapefile or FlatGeobuf
    labels_layer: str | None = None
    class_field: str = ""
    folders: tuple[str, ...] = ()  # of pictures under images/ and dated series, see training/plain_folders.py
    hold_out: tuple[str, ...] = ()  # parts of paths under the folders that are never read


@dataclass(frozen=True)
class ShardsMade:
    folder: str
    samples: int
    left_out: int  # windows with less data than asked for
    shards: int
    bytes: int
    sensors: tuple[str, ...]  # keys of all sensors in any sample
    digest: str  # "sha256:<hex>" of the manifest
    seconds: float


@dataclass(frozen=True)
class ApplyModel:  # -> LabelMapWritten
    """Class raster and confidence of a whole scene."""

    scene: SceneSource
    model_path: str
    output_path: str  # COG uint8 with palette: class values, 0 no data
    confidence_path: str | None  # COG uint8: probability of the class, 0..100 %, 255 no data
    tile_px: int = 0  # 0: what suits the sensor
    device: str = "auto"


@dataclass(frozen=True)
class LabelMapWritten:
    path: str
    confidence_path: str | None
    classes: tuple[ClassInfo, ...]
    shares: tuple[float, ...]  # of valid pixels, one per class
    height: int
    width: int
    seconds: float


# -- the engine itself -----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Diagnose:  # -> Diagnosis
    """What the diagnostics report holds."""

    folder: str  # of the user's models


@dataclass(frozen=True)
class Diagnosis:
    lines: tuple[str, ...]  # "name: value", paths scrubbed of the user's name


RESULTS: dict[type, type] = {
    DescribeRaster: RasterDescription,
    EstimateCost: CostEstimate,
    ListModels: ModelList,
    ConvertModel: ModelConverted,
    MeasureSpeed: SpeedMeasured,
    EmbedScene: FeatureMapWritten,
    OpenView: ViewReady,
    PromptView: MaskReady,
    OutlineMask: OutlineReady,
    CloseView: ViewClosed,
    SegmentPoints: PolygonsWritten,
    SegmentByExample: ExampleFound,
    DetectChange: ChangeWritten,
    TrainSegmentation: ModelTrained,
    MakeShards: ShardsMade,
    ApplyModel: LabelMapWritten,
    Diagnose: Diagnosis,
}

REQUESTS: dict[str, type] = {request.__name__: request for request in RESULTS}

# Answered by the interactive worker, which never queues behind a long job.
INTERACTIVE: frozenset[type] = frozenset({DescribeRaster, ListModels, OpenView, PromptView, OutlineMask, CloseView, Diagnose})
