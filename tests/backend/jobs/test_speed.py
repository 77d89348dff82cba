"""The speed on an encoder's card."""

from __future__ import annotations

import time

import torch

from skysense.jobs.speed import measure
from skysense.models.catalog import load_encoder


def test_the_bundled_encoders_speed_is_found_within_a_second_or_so():
    encoder = load_encoder()
    began = time.perf_counter()
    speed = measure(encoder, torch.device("cpu"))
    seconds = time.perf_counter() - began
    assert seconds < 3  # one alone on this machine; tests may share it with others
    assert 0.262 / seconds < speed < 1000
