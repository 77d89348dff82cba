"""What parameters mean that several algorithms have; each algorithm says it of its own."""

from __future__ import annotations

SHARED = {
    "LAYERS": "Rasters of the same place, of any sensors and dates. The output lies on the pixels of the finest one.",
    "EXTENT": "Only this rectangle is worked on. Empty: all that the layers cover.",
    "AREA": "Only inside these polygons is worked on; with an extent, where both meet. Everything else is no data.",
    "PIXEL_SIZE": (
        "For layers that QGIS draws, such as WMS and XYZ: the size of a pixel in units of the extent's or the points' CRS. "
        "Empty: as the finest file among the layers, where there is one."
    ),
    "ENCODER": "Name of the foundation model, or the file of one that was added. The panel lists those that are there.",
    "DEVICE": "auto takes a graphics card where there is one; cpu and cuda decide it.",
}
BY_SUFFIX = {
    "_DATES": (
        "One day for each layer as year-month-day, with commas between, for instance 2020-02-29,-. For - the day is taken "
        "from the layer's temporal properties, its tags or its file name."
    ),
    "_SENSORS": (
        "One for each layer, with commas between: hr (aerial, drone and high-resolution satellite images), s2 (Sentinel-2), "
        "s1 (Sentinel-1), landsat. For - it is guessed from the bands and the file name."
    ),
    "_BANDS": (
        "Which band of the file holds which band of the sensor, one mapping for each layer with semicolons between, for "
        "instance R=1 G=2 B=3;-. For - it is guessed."
    ),
}


def help_of(name: str, own: dict[str, str]) -> str:
    """Of a parameter: the algorithm's own words before the shared ones; empty where the label says all."""
    shared = SHARED.get(name) or next((text for suffix, text in BY_SUFFIX.items() if name.endswith(suffix)), "")
    return own.get(name, shared)
