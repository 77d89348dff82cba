"""Which band of a file is which, as it is written down: "R=1 G=2 B=3"."""

from __future__ import annotations

import re

from .scene_source import BandIndex
from .sensors import SENSORS

_PAIR = re.compile(r"([A-Za-z][A-Za-z0-9]*)\s*=\s*(\d+)")


def parse_bands(text: str, sensor: str, count: int) -> tuple[BandIndex, ...]:
    """The mapping that the text means, in the sensor's order.

    Args:
        text: band names of the sensor, in any case, with the numbers of the file's bands, from 1 on; blanks or commas
            between the pairs.
        sensor: a key of SENSORS.
        count: bands of the file.

    Raises:
        ValueError: another form, a band that sensor or file does not have, or one that is named twice; the text says
            which and what would do.
    """
    left = re.sub(r"[\s,]", "", _PAIR.sub("", text))
    pairs = _PAIR.findall(text)
    if left or not pairs:
        raise ValueError(f"{text!r} names no bands. Write them like {_example(sensor)}.")
    names = {name.lower(): name for name in SENSORS[sensor].band_names}
    indexes: dict[str, int] = {}
    for written, number in pairs:
        name, index = names.get(written.lower()), int(number)
        if name is None:
            known = ", ".join(names.values())
            raise ValueError(f"{SENSORS[sensor].label} has no band {written!r}. Choose among {known}.")
        if not 1 <= index <= count:
            raise ValueError(f"There is no band {index} for {name}: the file has {count}. Choose from 1 to {count}.")
        if name in indexes:
            raise ValueError(f"The band {name} is named twice. Name it once.")
        indexes[name] = index
    return tuple(BandIndex(name, indexes[name]) for name in names.values() if name in indexes)


def _example(sensor: str) -> str:
    return " ".join(f"{name}={index}" for index, name in enumerate(SENSORS[sensor].band_names[:3], start=1))
