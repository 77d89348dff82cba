"""The robot by itself, and click by click against the reference."""

from __future__ import annotations

import numpy as np
import pytest

from skysense.evaluate import clicks, robot
from skysense.evaluate.folders import find_sets, read_labels, read_rgb


class Grower:
    """A disc of 12 px for each click: crude, but any error region appears sooner or later."""

    def open(self, rgb):
        self.shape = rgb.shape[:2]
        self.restart()

    def restart(self):
        self.mask = np.zeros(self.shape, bool)

    def click(self, x, y, positive):
        rows, columns = np.indices(self.shape)
        self.mask = self.mask.copy()
        self.mask[(rows - y) ** 2 + (columns - x) ** 2 <= 144] = positive
        return self.mask

    set_image, reset = open, restart  # the reference's names


def test_the_first_click_is_the_deepest_pixel_and_the_rim_is_outside():
    target = np.zeros((40, 60), bool)
    target[0:11, 20:60] = True  # 11 rows along the upper rim
    grower = Grower()
    grower.open(np.zeros((40, 60, 3), np.uint8))
    x, y, positive = robot.play(grower, target).clicks[0]
    assert y == 5 and 25 <= x <= 54 and positive


def test_the_largest_error_is_clicked_with_its_sign():
    target = np.zeros((100, 100), bool)
    target[30:70, 30:70] = True

    class Always(Grower):
        def click(self, x, y, positive):
            mask = np.zeros((100, 100), bool)
            mask[30:60, 30:70] = True  # 10 rows missing
            mask[5:25, 5:50] = True  # 900 px too much
            return mask

    always = Always()
    always.open(np.zeros((100, 100, 3), np.uint8))
    played = robot.play(always, target)
    assert played.clicks[1][2] is False and 5 <= played.clicks[1][1] < 25
    assert len(played.clicks) == robot.MOST_CLICKS
    assert len({click[:2] for click in played.clicks}) == robot.MOST_CLICKS  # no pixel twice


def test_a_perfect_segmenter_is_clicked_until_it_is_perfect():
    target = np.zeros((50, 50), bool)
    target[10:40, 10:40] = True

    class Perfect(Grower):
        def click(self, x, y, positive):
            return target

    perfect = Perfect()
    perfect.open(np.zeros((50, 50, 3), np.uint8))
    played = robot.play(perfect, target)
    assert played.ious == [1.0]  # no error is left to click on
    assert played.clicks_to(0.85) == 1 and played.iou_after(5) == 1.0


def test_figures_of_known_plays():
    good = robot.Play(clicks=[(0, 0, True)] * 5, ious=[0.5, 0.82, 0.6, 0.86, 0.9], cpu_ms=[9, 1, 2, 3, 4], wall_ms=[9, 2, 4, 6, 8])
    bad = robot.Play(clicks=[(0, 0, True)] * 2, ious=[0.1, 0.2], cpu_ms=[9, 5], wall_ms=[9, 10])
    figures = robot.numbers([good, bad])
    assert figures["targets"] == 2 and figures["later_clicks"] == 5
    assert figures["iou1"] == pytest.approx(0.3) and figures["iou3"] == pytest.approx(0.4)
    assert figures["iou5"] == pytest.approx(0.55)
    assert figures["noc80"] == 11 and figures["noc85"] == 12 and figures["failures"] == 1
    assert figures["lost20"] == pytest.approx(0.2)  # .82 -> .60
    assert figures["p50_ms"] == 3 and figures["p50_wall_ms"] == 6


def test_one_click_leaves_nothing_to_time():
    figures = robot.numbers([robot.Play(clicks=[(0, 0, True)], ious=[1.0], cpu_ms=[3], wall_ms=[3])])
    assert figures["later_clicks"] == 0 and figures["lost20"] is None and figures["p50_ms"] is None


def test_targets_are_of_usable_size_and_drawn_evenly():
    tiles = []
    for _ in range(3):
        labels = np.zeros((200, 200), np.uint16)
        labels[0:20, 0:20] = 1  # 400 px
        labels[50:69, 50:71] = 2  # 399 px
        labels[100:200, 0:100] = 255  # 10,000 px: a quarter; 16 bits, so an object
        labels[80:190, 105:200] = 4  # 10,450 px: too large
        tiles.append(labels)
    drawn = robot.choose_targets(tiles, 5, 0)
    assert len(drawn) == 5 and sorted({index for index, _ in drawn}) == [0, 1, 2]
    assert len(robot.choose_targets(tiles, 99, 0)) == 6
    assert drawn == robot.choose_targets(tiles, 5, 0)
    byte = [labels.astype(np.uint8) for labels in tiles]  # 255 of 8 bits is not labelled
    assert len(robot.choose_targets(byte, 99, 0)) == 3


def assert_same_picture(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Equal but for the rounding of two JPEG decoders."""
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs).mean() < 0.5


@pytest.mark.parametrize("name", ["banepa", "dubai"])
@pytest.mark.parametrize("seed", [0, 5])
def test_tiles_and_targets_are_the_references(reference_robot, shared_data, name, seed):
    pairs = reference_robot.tiles_of(reference_robot.pairs_in(shared_data / name), 512)
    expected = reference_robot.choose_targets(pairs, 12, seed, 400, 0.25, True, None)
    tiles = clicks._tiles(find_sets([shared_data / name])[0])
    assert len(tiles) == len(pairs)
    assert robot.choose_targets((tile.labels() for tile in tiles), 12, seed) == expected
    for index, number in expected[:4]:
        rgb, labels = reference_robot.load_pair(*pairs[index][1:])
        assert_same_picture(tiles[index].rgb(), rgb)
        objects, _ = reference_robot.objects(labels, instances=True)
        assert np.array_equal(robot.label_objects(tiles[index].labels())[0] == number, objects == number)


def test_clicks_and_figures_are_the_references(reference_robot, shared_data):
    pairs = reference_robot.tiles_of(reference_robot.pairs_in(shared_data / "kampala"), 512)
    targets = reference_robot.choose_targets(pairs, 6, 1, 400, 0.25, True, None)
    expected, records = reference_robot.evaluate(Grower(), pairs, targets, instances=True)
    tiles = clicks._tiles(find_sets([shared_data / "kampala"])[0])
    plays = []
    for index, number in targets:
        grower = Grower()
        grower.open(tiles[index].rgb())
        plays.append(robot.play(grower, robot.label_objects(tiles[index].labels())[0] == number))
    for played, record in zip(plays, records):
        assert played.clicks == record["clicks"]
        assert np.allclose(played.ious, record["iou"], atol=6e-5)
    figures = robot.numbers(plays)
    for ours, theirs in {"iou1": "iou@1", "iou3": "iou@3", "iou5": "iou@5", "noc80": "noc80", "noc85": "noc85",
                         "failures": "fail85", "lost20": "lost>.2"}.items():  # fmt: skip
        assert figures[ours] == pytest.approx(expected[theirs], abs=6e-3), ours


def test_reading_agrees_with_the_reference_on_every_kind_of_file(reference_robot, shared_data):
    for name in ("images/tile1_part1.jpg", "images/tile5_part9.jpg"):
        path = shared_data / "dubai" / name
        assert_same_picture(read_rgb(path), reference_robot.to_rgb8(reference_robot.read_array(path)))
    path = shared_data / "dubai" / "masks" / "tile1_part1.png"
    assert np.array_equal(read_labels(path), reference_robot.read_array(path))
