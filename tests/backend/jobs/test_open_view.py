"""Views of pictures that QGIS rendered."""

from __future__ import annotations

import numpy as np
import pytest

from skysense.errors import PromptError, RequestError
from skysense.jobs import close_view, open_view, prompt_view
from skysense.jobs.report import SilentReport
from skysense.protocol.requests import CloseView, OpenView, Prompt, PromptView
from skysense.protocol.scene_source import ArrayFile, Extent, ViewSource

SIDE = 64
PLACE = Extent("EPSG:3857", 0.0, 0.0, float(SIDE), float(SIDE))


@pytest.fixture
def view(tmp_path):
    """A black square on grey; the right quarter of the picture was not drawn."""
    rgba = np.full((SIDE, SIDE, 4), 128, np.uint8)
    rgba[20:40, 10:30, :3] = 0
    rgba[..., 3] = 255
    rgba[:, 48:] = 0
    path = tmp_path / "view.rgba"
    path.write_bytes(rgba.tobytes())
    source = ViewSource(PLACE, SIDE, SIDE, picture=ArrayFile(str(path), "uint8", rgba.shape))
    ready = open_view.run(OpenView(source, str(tmp_path / "mask")), SilentReport())
    yield ready.view
    close_view.run(CloseView(ready.view), SilentReport())


def test_what_was_not_drawn_is_no_black_object(view):
    with pytest.raises(PromptError, match="no data at this point"):
        prompt_view.run(PromptView(view, (Prompt(56.5, 30.5),)), SilentReport())
    mask = prompt_view.run(PromptView(view, (Prompt(20.5, SIDE - 30.5),)), SilentReport()).mask
    inside = np.fromfile(mask.path, np.uint8).reshape(mask.shape)
    assert inside[30, 20] == 1 and not inside[:, 48:].any()


def test_a_picture_of_another_form_is_refused(tmp_path):
    path = tmp_path / "view.rgb"
    path.write_bytes(bytes(SIDE * SIDE * 3))
    source = ViewSource(PLACE, SIDE, SIDE, picture=ArrayFile(str(path), "uint8", (SIDE, SIDE, 3)))
    with pytest.raises(RequestError, match="the view needs uint8"):
        open_view.run(OpenView(source, str(tmp_path / "mask")), SilentReport())
