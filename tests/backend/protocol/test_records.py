"""Records survive the way through JSON unchanged, and anything else is refused."""

import dataclasses
import json

import pytest

from skysense.protocol import messages, requests
from skysense.protocol.records import RecordError, from_plain, to_plain
from skysense.protocol.scene_source import AcquisitionSource, BandIndex, Extent, Scaling, SceneSource

SCENE = SceneSource(
    acquisitions=(AcquisitionSource("/données/été 1.tif", "s2", (BandIndex("B2", 1),), Scaling(1e-4, -0.1), "2024-02-29"),),
    extent=Extent("EPSG:32631", 0.0, 0.0, 10.0, 20.0),
)
CALL = messages.Call(3, requests.EmbedScene(SCENE, "/out.tif", None))


def through_json(record):
    return from_plain(json.loads(json.dumps(to_plain(record))))


@pytest.mark.parametrize(
    "record",
    [
        CALL,
        messages.Hello(1, "0.1", "3.11", (("torch", "2.13"),), ("EmbedScene",), 7),
        messages.Progress(1, "Reading", 0.5, None, points=(messages.Series("loss", 1, 0.25),)),
        messages.Failure(None, "protocol", "a", "b"),
        messages.Result(1, requests.PolygonsWritten("/p", "objects", 2, (3, 4), 1.5)),
        requests.PromptView("view-1", (requests.Prompt(1.0, 2.0), requests.Prompt(0.0, 0.0, x2=1.0, y2=1.0))),
    ],
)
def test_there_and_back(record):
    assert through_json(record) == record


def test_every_request_has_a_result_and_both_can_be_named():
    assert set(requests.REQUESTS.values()) == set(requests.RESULTS)
    assert set(requests.RESULTS) > requests.INTERACTIVE
    for record in {*requests.RESULTS, *requests.RESULTS.values()}:
        assert dataclasses.is_dataclass(record) and record.__dataclass_params__.frozen


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("job",), "3"),
        (("job",), True),
        (("job",), None),
        (("request", "components"), 1.5),
        (("request", "scene", "acquisitions"), {}),
        (("request", "scene", "extent", "west"), "0"),
        (("request", "kind"), "os.system"),
        (("request", "unknown"), 1),
    ],
)
def test_wrong_values_are_refused_by_name(path, value):
    plain = to_plain(CALL)
    inner = plain
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(RecordError, match="expected|unknown"):
        from_plain(plain)


def test_a_missing_field_is_refused():
    plain = to_plain(CALL)
    del plain["request"]["tile_px"]
    with pytest.raises(RecordError, match="tile_px"):
        from_plain(plain)


@pytest.mark.parametrize("plain", [None, [], "x", {}, {"kind": 3}, {"kind": "Nothing"}])
def test_what_is_no_record(plain):
    with pytest.raises(RecordError):
        from_plain(plain)


def test_numbers_that_json_does_not_know_are_refused():
    with pytest.raises(RecordError, match="finite"):
        to_plain(messages.Series("loss", 1, float("nan")))


def test_an_integer_serves_as_a_float_but_not_the_other_way_round():
    ready = requests.OutlineReady("MULTIPOLYGON EMPTY", 1, 2.0)
    assert from_plain({**to_plain(ready), "area_m2": 2}) == ready
    with pytest.raises(RecordError, match="pixels"):
        from_plain({**to_plain(ready), "pixels": 1.0})


def test_what_is_nested_absurdly_deep_is_refused():
    plain = {"kind": "CloseView", "view": "x"}
    for _ in range(400):
        plain = {"kind": "Call", "job": 1, "request": plain}
    with pytest.raises(RecordError, match="at most 32"):
        from_plain(plain)


def test_a_number_that_no_float_holds_is_refused():
    ready = to_plain(requests.OutlineReady("MULTIPOLYGON EMPTY", 1, 2.0))
    with pytest.raises(RecordError, match="area_m2"):
        from_plain({**ready, "area_m2": 10**400})
