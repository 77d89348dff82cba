"""Band mappings as they are written down."""

import pytest

from skysense.protocol.bands import parse_bands
from skysense.protocol.scene_source import BandIndex


@pytest.mark.parametrize("text", ["R=1 G=2 B=3", "B=3,G=2, r = 1", " b=3  g =2\tR= 1 "])
def test_pairs_in_any_order_and_case(text):
    assert parse_bands(text, "hr", 4) == (BandIndex("R", 1), BandIndex("G", 2), BandIndex("B", 3))


def test_names_as_the_sensor_writes_them():
    assert parse_bands("b8a=7 B2=1", "s2", 12) == (BandIndex("B2", 1), BandIndex("B8A", 7))
    assert parse_bands("SWIR1=5", "landsat", 6) == (BandIndex("swir1", 5),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names no bands. Write them like R=1 G=2 B=3"),
        ("1 2 3", "Write them like R=1 G=2 B=3"),
        ("R=1 G", "Write them like"),
        ("R=-1", "Write them like"),
        ("B8=1", "has no band 'B8'. Choose among R, G, B, N"),
        ("R=5", "no band 5 for R: the file has 4"),
        ("R=0", "Choose from 1 to 4"),
        ("R=1 r=2", "R is named twice"),
    ],
)
def test_what_means_no_mapping_is_said_in_a_sentence(text, words):
    with pytest.raises(ValueError, match=words):
        parse_bands(text, "hr", 4)
