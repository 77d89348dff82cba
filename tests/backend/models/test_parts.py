"""Parameters part by part."""

from skysense.models.catalog import ENCODERS
from skysense.models.parts import beside_the_paper, part_rows
from skysense.models.skysense.presets import PRESETS

PARTS = ["hr", "s2", "s1", "uphead_s2", "uphead_s1", "fusion", "dates", "prototypes", "heads", "total"]


def parts_of(preset: str) -> dict[str, int]:
    return {row["part"]: row["parameters"] for row in part_rows() if row["preset"] == preset}


def test_parts_sum_up():
    for preset in PRESETS:
        parts = parts_of(preset)
        assert list(parts) == PARTS
        assert parts["total"] == sum(parts[part] for part in PARTS[:-1])
    assert parts_of("nano")["total"] == ENCODERS["skysense-nano"].parameters <= 7_400_000


def test_the_largest_equals_the_released_modules():
    huge = parts_of("huge")
    assert huge["hr"] == 655_079_632 and huge["s2"] == 302_738_432 and huge["s1"] == 302_607_360
    assert huge["uphead_s2"] == huge["uphead_s1"] == 46_182_400 and huge["fusion"] == 305_195_008
    assert huge["dates"] == 365 * 2816 and huge["prototypes"] == 4096 * 100 * 1024
    assert parts_of("plus-plus")["total"] == 1_809_455_265


def test_the_paper_is_named_beside_it():
    text = "\n".join(beside_the_paper())
    assert "2062.85 M" in text and "Unexplained: 0.64 M" in text
