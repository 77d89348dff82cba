"""Sensors and their bands, with canonical units. A sensor is data with its source beside it.

Canonical units, whatever the file stores: optical values are reflectance (1.0 = 100 %) or, for plain pictures, the
share of full scale (0..1); Sentinel-1 values are backscatter in decibel.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Band:
    """One channel of a sensor."""

    name: str
    label: str
    wavelength_nm: float | None  # centre; None for radar
    gsd_m: float | None = None  # None: differs from camera to camera


@dataclass(frozen=True)
class Sensor:
    """A kind of instrument with fixed bands, in the order that the encoders expect."""

    key: str
    label: str
    short: str  # where there is little room
    kind: str  # "optical" or "radar"
    bands: tuple[Band, ...]
    unit: str  # "reflectance" or "decibel"
    source: str

    @property
    def band_names(self) -> tuple[str, ...]:
        return tuple(band.name for band in self.bands)

    def band(self, name: str) -> Band:
        """The band of that name; raises KeyError with the names that exist."""
        for band in self.bands:
            if band.name == name:
                return band
        raise KeyError(f"{self.label} has no band {name!r}, only {', '.join(self.band_names)}")


HR = Sensor(
    key="hr",
    label="High-resolution optical",
    short="High-res.",
    kind="optical",
    bands=(
        Band("R", "Red", 660.0),
        Band("G", "Green", 560.0),
        Band("B", "Blue", 480.0),
        Band("N", "Near infrared", 840.0),
    ),
    unit="reflectance",
    source="SkySense, section 3: RGB or RGB-NIR aerial, drone or very-high-resolution satellite imagery",
)

S2 = Sensor(
    key="s2",
    label="Sentinel-2",
    short="Sentinel-2",
    kind="optical",
    bands=(
        Band("B2", "Blue", 492.4, 10.0),
        Band("B3", "Green", 559.8, 10.0),
        Band("B4", "Red", 664.6, 10.0),
        Band("B5", "Red edge 1", 704.1, 20.0),
        Band("B6", "Red edge 2", 740.5, 20.0),
        Band("B7", "Red edge 3", 782.8, 20.0),
        Band("B8", "Near infrared", 832.8, 10.0),
        Band("B8A", "Narrow near infrared", 864.7, 20.0),
        Band("B11", "Short-wave infrared 1", 1613.7, 20.0),
        Band("B12", "Short-wave infrared 2", 2202.4, 20.0),
    ),
    unit="reflectance",
    source="Sentinel-2 MSI spectral response functions (ESA), centre wavelengths of S2A; band order of SkySense",
)

S1 = Sensor(
    key="s1",
    label="Sentinel-1",
    short="Sentinel-1",
    kind="radar",
    bands=(Band("VV", "VV", None, 10.0), Band("VH", "VH", None, 10.0)),
    unit="decibel",
    source="Sentinel-1 GRD IW dual polarisation (ESA); band order of SkySense",
)

LANDSAT = Sensor(
    key="landsat",
    label="Landsat 5-9",
    short="Landsat",
    kind="optical",
    bands=(
        Band("blue", "Blue", 482.0, 30.0),
        Band("green", "Green", 561.0, 30.0),
        Band("red", "Red", 655.0, 30.0),
        Band("nir", "Near infrared", 865.0, 30.0),
        Band("swir1", "Short-wave infrared 1", 1609.0, 30.0),
        Band("swir2", "Short-wave infrared 2", 2201.0, 30.0),
    ),
    unit="reflectance",
    source="USGS Landsat 8 OLI band designations; TM and ETM+ bands of the same name lie within 60 nm",
)

SENSORS: dict[str, Sensor] = {sensor.key: sensor for sensor in (HR, S2, S1, LANDSAT)}

# Landsat enters the Sentinel-2 encoder through the bands nearest in wavelength.
LANDSAT_TO_S2: dict[str, str] = {
    "blue": "B2",
    "green": "B3",
    "red": "B4",
    "nir": "B8A",
    "swir1": "B11",
    "swir2": "B12",
}
