"""Polygons over a scene -> a model file that can be listed, loaded and applied."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
import torch
from rasterio.features import shapes as outlines
from scipy.ndimage import binary_dilation

from skysense.errors import Cancelled, LabelError, ModelError, OutputError, RequestError
from skysense.jobs import apply_model, list_models, train_segmentation
from skysense.jobs.report import SilentReport
from skysense.jobs.scene_from_files import scene_from_files
from skysense.models.catalog import bundled_weights, load_encoder
from skysense.protocol.requests import ApplyModel, ListModels, ModelTrained, TrainSegmentation
from skysense.training import fine_tune
from skysense.training.checkpoint import load_segmenter, own_state, read_model_card

DATA = Path(__file__).parents[2] / "data"
IMAGE, MASK = DATA / "kampala/images/kampala_a.tif", DATA / "kampala/masks/kampala_a.tif"


class Curves(SilentReport):
    """Keeps the points, and cancels after `stop_after` points of mean IoU."""

    def __init__(self, stop_after: int | None = None) -> None:
        super().__init__()
        self.points, self.details, self.left, self.stop_after = [], [], [], stop_after

    def progress(self, fraction, stage, detail="", points=(), seconds_left=None) -> None:
        self.points += points
        self.details.append(detail)
        self.left.append(seconds_left)
        if self.stop_after is not None and self.count("mean IoU") >= self.stop_after:
            self.cancel()
        super().progress(fraction, stage, detail, points)

    def count(self, name: str) -> int:
        return sum(point.name == name for point in self.points)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def buildings(tmp_path_factory) -> Path:
    """The image's buildings, and everything three pixels away from them."""
    with rasterio.open(MASK) as file:
        building, transform, crs = file.read(1) == 1, file.transform, file.crs
    found, names = [], []
    for name, area in (("building", building), ("other", ~binary_dilation(building, iterations=3))):
        for geometry, _ in outlines(area.astype(np.uint8), mask=area, transform=transform, connectivity=4):
            found.append(shapely.geometry.shape(geometry))
            names.append(name)
    path = tmp_path_factory.mktemp("labels") / "buildings.gpkg"
    pyogrio.raw.write(path, shapely.to_wkb(np.array(found, dtype=object)), [np.array(names, dtype=object)], ["kind"],
                      driver="GPKG", geometry_type="Polygon", crs=crs.to_string())  # fmt: skip
    return path


@pytest.fixture
def request_of(buildings, tmp_path) -> TrainSegmentation:
    return TrainSegmentation(
        scene=scene_from_files([str(IMAGE)]),
        labels_path=str(buildings), labels_layer=None, class_field="kind",
        model_path=str(tmp_path / "buildings.safetensors"), name="Buildings",
        steps=20, batch=4, crop_px=128,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(buildings, tmp_path_factory) -> ModelTrained:
    """Forty steps of the head alone."""
    return train_segmentation.run(
        TrainSegmentation(
            scene=scene_from_files([str(IMAGE)]),
            labels_path=str(buildings), labels_layer=None, class_field="kind",
            model_path=str(tmp_path_factory.mktemp("models") / "buildings.safetensors"), name="Buildings",
            steps=40, batch=4, crop_px=128,
        ),
        SilentReport(),
    )  # fmt: skip


def test_the_head_learns_buildings(trained: ModelTrained) -> None:
    """A map of one class alone would reach a mean IoU below 0.45 here."""
    assert trained.stopped == "finished" and trained.steps == 40
    assert trained.card.mean_iou is not None and trained.card.mean_iou > 0.55
    assert [entry.name for entry in trained.card.classes] == ["building", "other"]


def test_the_card_says_where_its_figures_are_from(trained: ModelTrained) -> None:
    card = trained.card
    confusion = np.array(card.confusion)
    assert confusion.shape == (2, 2) and confusion.sum(axis=1).tolist() == [entry.pixels for entry in card.accuracy]
    assert card.accuracy[0].iou == pytest.approx(confusion[0, 0] / (confusion[0].sum() + confusion[1, 0]))
    assert card.accuracy[0].recall == pytest.approx(confusion[0, 0] / confusion[0].sum())
    said = " ".join(card.notes)
    assert "kampala_a.tif" in said and "held out whole (seed 0)" in said and f"step {trained.best_step}" in said
    assert read_model_card(Path(card.path)) == card


def test_it_can_be_applied(trained: ModelTrained, tmp_path: Path) -> None:
    request = ApplyModel(scene_from_files([str(IMAGE)]), trained.card.path, str(tmp_path / "classes.tif"), None)
    apply_model.run(request, SilentReport())
    with rasterio.open(tmp_path / "classes.tif") as file:
        found = file.read(1) == trained.card.classes[0].value
    with rasterio.open(MASK) as file:
        truth = file.read(1) == 1
    assert (found & truth).sum() / (found | truth).sum() > 0.35


def test_it_is_listed_with_its_card_and_damaged_files_with_a_reason(trained: ModelTrained, tmp_path: Path) -> None:
    whole = Path(trained.card.path).read_bytes()
    (tmp_path / "good.safetensors").write_bytes(whole)
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "no model.safetensors").write_bytes(b"nothing of the kind")
    cards = list_models.run(ListModels(str(tmp_path)), SilentReport()).models
    assert [(card.label, card.kind) for card in cards] == [
        ("SkySense nano", "encoder"), ("cut", "damaged"), ("Buildings", "segmentation"), ("no model", "damaged"),
    ]  # fmt: skip
    assert all(card.notes for card in cards if card.kind == "damaged")
    assert list_models.run(ListModels(str(tmp_path / "missing")), SilentReport()).models == cards[:1]


@pytest.mark.parametrize("where", [0.02, 0.3, 0.9])
def test_a_damaged_model_is_refused(trained: ModelTrained, tmp_path: Path, where: float) -> None:
    damaged = bytearray(Path(trained.card.path).read_bytes())
    start = int(where * len(damaged))
    damaged[start : start + 64] = b"\xff" * 64  # in the header, or NaN among the weights
    (tmp_path / "m.safetensors").write_bytes(damaged)
    with pytest.raises(ModelError):
        load_segmenter(tmp_path / "m.safetensors")


def test_another_file_is_no_model() -> None:
    with pytest.raises(ModelError, match="no fine-tuned segmentation model"):
        load_segmenter(bundled_weights("skysense-nano"))


def test_the_file_holds_the_head_alone_while_the_encoder_is_frozen(trained: ModelTrained) -> None:
    assert Path(trained.card.path).stat().st_size < 2_000_000
    segmenter = load_segmenter(trained.card.path)
    assert segmenter.levels == ("hr_8", "hr_16") and not any(p.requires_grad for p in segmenter.parameters())
    original = load_encoder()
    for (name, ours), (_, theirs) in zip(segmenter.encoder.state_dict().items(), original.state_dict().items()):
        assert torch.equal(ours, theirs), name


def test_the_curves_are_live_and_the_details_tell_the_device(request_of) -> None:
    report = Curves()
    train_segmentation.run(request_of, report)
    assert report.count("loss") == 20 and report.count("mean IoU") == 10
    losses = [point.value for point in report.points if point.name == "loss"]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    assert any("CPU · batch 4" in detail and "GB free" in detail for detail in report.details)
    assert report.left[-1] is not None and report.left[-1] < 5
    assert report.fractions == sorted(report.fractions)


def test_the_same_seed_gives_the_same_model(request_of, tmp_path) -> None:
    first = train_segmentation.run(replace(request_of, steps=6), SilentReport())
    again = train_segmentation.run(replace(request_of, steps=6), SilentReport())
    other = train_segmentation.run(replace(request_of, steps=6, seed=1), SilentReport())
    assert first.card.digest == again.card.digest != other.card.digest


@pytest.mark.parametrize("tune", ["last-blocks", "all"])
def test_the_encoder_learns_too_but_for_prototypes_and_statistics(request_of, tune: str) -> None:
    result = train_segmentation.run(replace(request_of, tune=tune, steps=3, batch=2, learning_rate=0.01), SilentReport())
    segmenter = load_segmenter(result.card.path)
    tuned, original = segmenter.encoder, load_encoder()
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(tuned.buffers(), original.buffers()))
    changed = {name for (name, ours), theirs in zip(tuned.named_parameters(), original.parameters())
               if not torch.equal(ours, theirs)}  # fmt: skip
    assert changed
    if tune == "last-blocks":
        allowed = {id(p) for block in tuned.last_blocks() for p in block.parameters()}
        assert all(id(p) in allowed for name, p in tuned.named_parameters() if name in changed)


def test_a_cancelled_run_keeps_its_best_model(request_of) -> None:
    result = train_segmentation.run(request_of, Curves(stop_after=3))
    assert result.stopped == "cancelled" and result.best_step <= result.steps < 20
    assert result.card.mean_iou == load_segmenter(request_of.model_path).card.mean_iou is not None


def test_the_card_of_a_learning_encoder_is_of_all_held_out_pixels(request_of, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(fine_tune, "JUDGED_CROPS", 1)
    head = train_segmentation.run(replace(request_of, steps=1), SilentReport()).card
    request = replace(request_of, steps=1, batch=1, tune="last-blocks")
    report = Curves()
    blocks = train_segmentation.run(request, report).card
    assert sum(entry.pixels for entry in blocks.accuracy) == sum(entry.pixels for entry in head.accuracy)
    assert any("held out whole" in note for note in blocks.notes) and report.fractions == sorted(report.fractions)
    cancelled = train_segmentation.run(request, Curves(stop_after=1))
    assert cancelled.stopped == "cancelled" and any("Accuracy: on 1 of the" in note for note in cancelled.card.notes)


def test_a_loss_that_is_no_number_ends_the_run_and_the_best_model_is_kept(request_of, monkeypatch) -> None:
    whole = fine_tune.area_cross_entropy
    calls = []

    def breaks(logits, areas, weights):
        calls.append(1)
        return whole(logits, areas, weights) * (float("nan") if len(calls) > 5 else 1.0)

    monkeypatch.setattr(fine_tune, "area_cross_entropy", breaks)
    result = train_segmentation.run(request_of, SilentReport())
    assert (result.stopped, result.steps) == ("diverged", 5) and 0 < result.best_step <= 5
    assert any("no number" in note for note in load_segmenter(request_of.model_path).card.notes)
    with pytest.raises(RequestError, match="no number.*lower learning rate"):
        train_segmentation.run(request_of, SilentReport())


def test_a_run_cancelled_before_there_is_a_model_leaves_nothing(request_of, tmp_path) -> None:
    for limit in (0, 2, 8):
        with pytest.raises(Cancelled):
            train_segmentation.run(request_of, SilentReport(limit))
        assert list(tmp_path.iterdir()) == []


def test_several_sensors_and_dates(tmp_path: Path) -> None:
    """An aerial image with Sentinel-2 and Sentinel-1 series: the head reads the fused level as well."""
    names = ("HR_20190701", "S2_20190420", "S2_20190622", "S1ASC_20190501")
    scene = scene_from_files([str(DATA / f"treesat_ts/{name}.tif") for name in names])
    with rasterio.open(DATA / "treesat_ts/HR_20190701.tif") as file:
        west, south, east, north = file.bounds
        crs = file.crs.to_string()
    middle = (west + east) / 2
    halves = [shapely.box(west, south, middle, north), shapely.box(middle, south, east, north)]
    pyogrio.raw.write(tmp_path / "halves.gpkg", shapely.to_wkb(np.array(halves, dtype=object)), [np.array(["w", "e"])],
                      ["side"], driver="GPKG", geometry_type="Polygon", crs=crs)  # fmt: skip
    request = TrainSegmentation(scene, str(tmp_path / "halves.gpkg"), None, "side", str(tmp_path / "m.safetensors"), "m",
                                steps=1, batch=2, crop_px=128)  # fmt: skip
    for tune in ("head", "all"):
        result = train_segmentation.run(replace(request, tune=tune), SilentReport())
        assert result.card.sensors == ("hr", "s2", "s1")
    assert load_segmenter(result.card.path).levels == ("hr_8", "hr_16", "fused")
    apply_model.run(ApplyModel(scene, result.card.path, str(tmp_path / "c.tif"), None), SilentReport())


def test_the_batch_is_halved_when_memory_runs_out(request_of, tmp_path) -> None:
    """A process that may take 500 MB more than it holds after loading: 512 crops do not fit, fewer do."""
    script = tmp_path / "limited.py"
    script.write_text(LIMITED)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    arguments = [request_of.scene.acquisitions[0].path, request_of.labels_path, request_of.model_path]
    done = subprocess.run([sys.executable, str(script), *arguments], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    batch = int(done.stdout.split()[-1])
    assert 1 <= batch < 512
    assert f"batch {batch}" in " ".join(read_model_card(Path(request_of.model_path)).notes)


LIMITED = '''
import resource, sys
import torch
from skysense.jobs import train_segmentation
from skysense.jobs.report import SilentReport
from skysense.jobs.scene_from_files import scene_from_files
from skysense.protocol.requests import TrainSegmentation

class Limit(SilentReport):
    """Sets the limit when the first crop has been encoded: everything is loaded then."""
    def progress(self, fraction, stage, detail="", points=(), seconds_left=None):
        super().progress(fraction, stage, detail, points)
        if stage == "Encoding crops" and detail.startswith("1 of"):
            held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (held + 500_000_000,) * 2)

torch.set_num_threads(1)
image, labels, model = sys.argv[1:]
request = TrainSegmentation(scene_from_files([image]), labels, None, "kind", model, "m", steps=1, batch=512, crop_px=128)
print(train_segmentation.run(request, Limit()).batch)
'''


# -- what is refused -------------------------------------------------------------------------------------------------
def test_too_few_pixels_name_the_class(request_of, tmp_path) -> None:
    with rasterio.open(IMAGE) as file:
        x, y = file.transform @ (100, 100)
        size, crs = file.transform.a, file.crs.to_string()
    large, tiny = shapely.box(x, y, x + 80 * size, y + 80 * size), shapely.box(x - 9 * size, y, x - 7 * size, y + 3 * size)
    path = tmp_path / "tiny.gpkg"
    pyogrio.raw.write(path, shapely.to_wkb(np.array([large, tiny], dtype=object)), [np.array(["roof", "well"])], ["kind"],
                      driver="GPKG", geometry_type="Polygon", crs=crs)  # fmt: skip
    with pytest.raises(LabelError, match="'well' covers 6 pixels"):
        train_segmentation.run(replace(request_of, labels_path=str(path)), SilentReport())


def test_a_class_in_one_block_is_warned_of(request_of, tmp_path) -> None:
    with rasterio.open(IMAGE) as file:
        transform, crs = file.transform, file.crs.to_string()

    def box(left: int, top: int, side: int) -> shapely.Geometry:
        (west, north), (east, south) = transform @ (left, top), transform @ (left + side, top + side)
        return shapely.box(west, south, east, north)

    shapes = [box(x, y, 40) for x in (10, 140, 270, 400) for y in (10, 140, 270, 400)] + [box(60, 60, 12)]
    names = ["roof"] * 16 + ["well"]
    path = tmp_path / "rare.gpkg"
    pyogrio.raw.write(path, shapely.to_wkb(np.array(shapes, dtype=object)), [np.array(names)], ["kind"],
                      driver="GPKG", geometry_type="Polygon", crs=crs)  # fmt: skip
    card = train_segmentation.run(replace(request_of, labels_path=str(path), steps=2), SilentReport()).card
    assert any("All pixels of well lie in one block" in note for note in card.notes)
    assert card.accuracy[1].name == "well" and card.accuracy[1].iou is None and card.accuracy[0].iou is not None


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"tune": "everything"}, RequestError),
        ({"steps": 0}, RequestError),
        ({"validation_share": 0.95}, RequestError),
        ({"model_path": "/nowhere/model.pth"}, RequestError),
        ({"model_path": "/nowhere/model.safetensors"}, OutputError),
        ({"class_field": "species"}, LabelError),
        ({"encoder": "other"}, RequestError),
    ],
)
def test_requests_that_make_no_sense(request_of, change, error) -> None:
    with pytest.raises(error) as caught:
        train_segmentation.run(replace(request_of, **change), SilentReport())
    assert caught.value.remedy


def test_own_state_names_what_is_trained(trained: ModelTrained) -> None:
    names = set(own_state(load_segmenter(trained.card.path)))
    assert any(name.startswith("head.") for name in names) and not any(name.startswith("encoder.") for name in names)


def test_a_picture_without_a_crs_is_labelled_in_pixels_as_qgis_counts_them(request_of, tmp_path) -> None:
    """Rows are -1, -2, … there."""
    with rasterio.open(IMAGE) as file:
        pixels = file.read()
    with rasterio.open(tmp_path / "plain.png", "w", driver="PNG", height=512, width=512, count=3, dtype="uint8") as file:
        file.write(pixels)
    shapes = [shapely.box(20, -250, 250, -20), shapely.box(260, -500, 500, -260)]
    pyogrio.raw.write(tmp_path / "pixels.gpkg", shapely.to_wkb(np.array(shapes, dtype=object)), [np.array(["a", "b"])],
                      ["kind"], driver="GPKG", geometry_type="Polygon", crs=None)  # fmt: skip
    scene = scene_from_files([str(tmp_path / "plain.png")])
    labels = str(tmp_path / "pixels.gpkg")
    result = train_segmentation.run(replace(request_of, scene=scene, labels_path=labels, steps=2), SilentReport())
    assert "110,500 pixels" in " ".join(result.card.notes)


@pytest.mark.parametrize("which", ["labels", "image"])
def test_the_model_overwrites_no_input(request_of, tmp_path, which) -> None:
    """Whatever the inputs are called."""
    path = tmp_path / "input.safetensors"
    path.write_bytes(Path(request_of.labels_path).read_bytes() if which == "labels" else IMAGE.read_bytes())
    change = {"labels_path": str(path)} if which == "labels" else {"scene": scene_from_files([str(path)])}
    before = path.read_bytes()
    with pytest.raises(OutputError, match="one of the inputs"):
        train_segmentation.run(replace(request_of, model_path=str(path), **change), SilentReport())
    assert path.read_bytes() == before
