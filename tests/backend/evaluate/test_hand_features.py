from __future__ import annotations

import numpy as np

from skysense.evaluate.hand_features import raw, texture


def test_texture_has_42_values_on_whole_cells() -> None:
    rgb = np.random.default_rng(0).random((3, 100, 83)).astype(np.float32)
    assert texture(rgb, 8).shape == (42, 12, 10)


def test_first_window_is_mean_and_deviation_of_the_cell_itself() -> None:
    rgb = np.random.default_rng(0).random((3, 64, 64)).astype(np.float32)
    found, cell = texture(rgb, 8)[:, 3, 4], rgb[:, 24:32, 32:40]
    assert np.allclose(found[:3], cell.mean(axis=(1, 2)), atol=1e-5)
    assert np.allclose(found[3:6], cell.std(axis=(1, 2)), atol=1e-4)


def test_orientation_tells_rows_from_columns() -> None:
    stripes = np.tile(np.sin(np.arange(64) / 2), (3, 64, 1)).astype(np.float32)
    across, down = (texture(picture, 8)[6:14, 4, 4] for picture in (stripes, stripes.transpose(0, 2, 1)))
    assert across.argmax() in (0, 7)  # the gradient points along the rows
    assert down.argmax() in (3, 4)


def test_raw_gives_means_and_the_vegetation_index_where_there_is_near_infrared() -> None:
    bands = np.zeros((4, 16, 16), np.float32)
    bands[0], bands[3] = 0.2, 0.6
    found = raw(bands, 8)
    assert found.shape == (5, 2, 2)
    assert np.allclose(found[:, 0, 0], [0.2, 0, 0, 0.6, 0.5])
    assert raw(bands[:3], 8).shape == (3, 2, 2)
