"""Parameters part by part."""

from skysense.models.catalog import ENCODERS
from skysense.models.parts import part_rows

PARTS = ["hr", "s2", "s1", "uphead_s2", "uphead_s1", "fusion", "dates", "prototypes", "heads", "total"]


def test_parts_sum_up_to_what_the_catalogue_says():
    rows = part_rows()
    for key, entry in ENCODERS.items():
        parts = {row["part"]: row["parameters"] for row in rows if row["preset"] == key}
        assert list(parts) == PARTS
        assert parts["total"] == entry.parameters == sum(parts[part] for part in PARTS[:-1])
