"""Which crops judge an encoder that learns."""

import numpy as np

from skysense.objectives.supervised import IGNORE
from skysense.scene.grid import Window
from skysense.scene.tiles import Tile
from skysense.training.fine_tune import choose_judges
from skysense.training.samples import Crop


def crop(number: int, *classes: int) -> Crop:
    held_out = np.full((8, 8), IGNORE, np.uint8)
    held_out.ravel()[: len(classes)] = classes
    window = Window(8 * number, 0, 8, 8)
    return Crop(Tile(window, window, number), window, np.full((8, 8), IGNORE, np.uint8), held_out)


def test_rare_classes_judge_too_wherever_they_lie():
    crops = [crop(number, 0) for number in range(60)] + [crop(60, 0, 2), crop(61, 1)]
    chosen = choose_judges(crops, 24, seed=3)
    assert len(chosen) == 24 and {60, 61} <= {judge.window.row // 8 for judge in chosen}
    assert [judge.window.row for judge in chosen] != [8 * number for number in range(24)]
    assert [judge.window.row for judge in choose_judges(crops, 24, seed=3)] == [judge.window.row for judge in chosen]
    assert choose_judges(crops[:10], 24, seed=3) == crops[:10]
