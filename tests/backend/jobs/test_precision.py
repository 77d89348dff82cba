"""Which arithmetic an encoder runs in: the faster one, and only where its features stay."""

from __future__ import annotations

import time

import pytest
import torch

from skysense.jobs import encoders, precision
from skysense.jobs.encoders import encoder_on
from skysense.jobs.example_batch import example_batch
from skysense.jobs.precision import Rates, mode_of, probe, use_default_mode
from skysense.models.catalog import load_encoder
from skysense.models.skysense import presets

CPU = torch.device("cpu")
FAST_BF16, SLOW_BF16 = Rates(100e9, 400e9), Rates(130e9, 0.2e9)


@pytest.fixture
def nano():
    return load_encoder()


@pytest.fixture(scope="module")
def batch():
    return example_batch(("hr", "s2", "s1"), 256)


def features(encoder, batch):
    with torch.inference_mode():
        return {name: level.values for name, level in encoder(batch).items()}


def same(some, others):
    return some.keys() == others.keys() and all(torch.equal(some[name], others[name]) for name in some)


def set_rates(monkeypatch, rates):
    monkeypatch.setattr(precision, "probe", lambda device: rates)


def test_the_probe_measures_both_types_within_two_seconds_and_once():
    probe.cache_clear()
    began = time.perf_counter()
    rates = probe(CPU)
    assert time.perf_counter() - began < 2
    assert rates.fp32 > 1e9 and rates.bf16 > 0
    assert probe(CPU) is rates


def test_the_probe_leaves_a_slow_type_after_its_first_product(monkeypatch):
    asked = []

    def slow(run, device):
        asked.append(run.args[0].shape[0])
        time.sleep(0.1)
        return 0.1

    monkeypatch.setattr(precision, "seconds_of", slow)
    assert precision._rate(CPU, torch.bfloat16) < 1e9
    assert set(asked) == {precision.PROBE_SIDES[0]}


def test_a_type_that_the_device_has_not_counts_as_no_speed(monkeypatch):
    def refuse(run, device):
        raise RuntimeError("not implemented for 'BFloat16'")

    monkeypatch.setattr(precision, "seconds_of", refuse)
    assert precision._rate(CPU, torch.bfloat16) == 0.0


def test_slow_bf16_leaves_the_encoder_as_it_is(monkeypatch, nano, batch):
    set_rates(monkeypatch, SLOW_BF16)
    before = features(nano, batch)
    mode = use_default_mode(nano, CPU)
    assert str(mode).startswith("fp32: bf16 products are 0.0015 times as fast") and mode_of(nano) is mode
    assert same(features(nano, batch), before)


def test_fast_bf16_is_taken_where_features_stay(monkeypatch, batch):
    set_rates(monkeypatch, FAST_BF16)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tiny = presets.tiny().eval()
    truth = features(tiny, batch)
    mode = use_default_mode(tiny, CPU)
    fast = features(tiny, batch)
    assert mode.precision == "bf16" and "4.0 times" in mode.reason
    assert all(values.dtype == torch.float32 for values in fast.values()) and not same(fast, truth)
    cosines = [torch.cosine_similarity(truth[name], fast[name], dim=1).min() for name in truth]
    assert min(cosines) >= precision.LEAST_COSINE


def test_fast_bf16_is_refused_where_one_cell_turns_away(monkeypatch, nano, batch):
    """And the trial leaves nothing behind."""
    set_rates(monkeypatch, FAST_BF16)
    monkeypatch.setattr(precision, "LEAST_COSINE", 0.999999)
    before = features(load_encoder(), batch)
    mode = use_default_mode(nano, CPU)
    assert mode.precision == "fp32" and "bf16 changes hr_16" in mode.reason
    assert same(features(nano, batch), before)


def test_numbers_that_are_none_are_refused(monkeypatch, nano):
    set_rates(monkeypatch, FAST_BF16)
    plain = nano.forward

    def overflows(batch):
        maps = plain(batch)
        if torch.is_autocast_enabled("cpu"):
            maps["s1"].values[:] = float("nan")
        return maps

    nano.forward = overflows
    mode = use_default_mode(nano, CPU)
    assert mode.precision == "fp32" and "bf16 changes s1, cosine nan" in mode.reason


def test_the_bundled_encoder_runs_in_fp32_here(batch):
    """Where bf16 is fast, its features miss the gate. Bit for bit what it was without modes."""
    encoders.drop()
    encoder = encoder_on("skysense-nano", CPU)
    assert mode_of(encoder).precision == "fp32"
    assert same(features(encoder, batch), features(load_encoder(), batch))
    encoders.drop()
