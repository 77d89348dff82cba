"""A small picture with known objects."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray


@pytest.fixture(scope="session")
def roofs() -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Two roofs of one colour and a pond on noisy ground: RGB (200, 300, 3) and ids (200, 300)."""
    rng = np.random.default_rng(4)
    ids = np.zeros((200, 300), np.int32)
    ids[40:110, 50:120] = 1
    ids[60:150, 180:230] = 2
    cv2.circle(ids, (90, 160), 25, 3, -1)
    colours = np.array([[90, 130, 70], [190, 90, 70], [190, 90, 70], [40, 60, 120]])
    rgb = cv2.GaussianBlur(colours[ids].astype(np.float32), (0, 0), 1.0) + rng.normal(0, 8, (200, 300, 3))
    return np.clip(rgb, 0, 255).astype(np.uint8), ids
