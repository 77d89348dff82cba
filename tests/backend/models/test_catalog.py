from __future__ import annotations

from pathlib import Path

import pytest
import torch

from skysense.errors import ModelError, RequestError
from skysense.models import catalog
from skysense.models.catalog import ENCODERS, load_encoder
from skysense.models.interface import SceneBatch
from skysense.models.weights import read_card, save_weights, weights_digest

BUNDLED_LIMIT_BYTES = 15_000_000


@pytest.mark.parametrize("key", ENCODERS)
def test_bundled_weights_load_and_name_themselves(key: str) -> None:
    encoder = load_encoder(key)
    path = catalog.bundled_weights(key)
    assert path is not None
    assert path.stat().st_size <= BUNDLED_LIMIT_BYTES
    assert encoder.info.key == key
    assert encoder.info.parameters == ENCODERS[key].parameters
    assert encoder.info.sensors == ENCODERS[key].sensors
    assert encoder.info.digest == weights_digest(path)
    assert not encoder.training
    assert {"what", "data", "recipe", "teachers"} <= set(read_card(path))


def test_maps_carry_the_digest_of_the_weights() -> None:
    encoder = load_encoder()
    with torch.no_grad():
        maps = encoder(SceneBatch(hr=torch.rand(1, 4, 128, 128)))
    assert {feature.digest for feature in maps.values()} == {encoder.info.digest}
    assert {feature.encoder for feature in maps.values()} == {"skysense-nano"}


def test_untrained_weights_follow_the_seed_and_leave_other_random_numbers_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, same, other = (load_encoder(untrained=True, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    weights = [model.state_dict()["s2_encoder.embedding.weight"] for model in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert one.info.digest == "untrained:1"


def test_a_file_takes_the_place_of_the_bundled_one(tmp_path: Path) -> None:
    model = load_encoder(untrained=True, seed=3)
    digest = save_weights(model, tmp_path / "own.safetensors", {})
    assert load_encoder(weights=tmp_path / "own.safetensors").info.digest == digest


def test_missing_bundle_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "BUNDLED", (tmp_path,))
    with pytest.raises(ModelError, match="Install the plugin again.*SKYSENSE_MODELS"):
        load_encoder()


def test_unknown_encoder_names_those_that_exist() -> None:
    with pytest.raises(RequestError, match="skysense-nano"):
        load_encoder("skysense-giga")
