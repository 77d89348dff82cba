"""Sensors, bands, scaling and dates from names and tags as they really occur."""

import pytest

from skysense.protocol.guess import RasterFacts, guess, guess_date
from skysense.protocol.scene_source import Scaling

S2_CODES = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")


def facts(name="scene.tif", labels=("", "", ""), dtype="uint8", tags=None, gsd_m=0.5, low=10.0, high=240.0, **more):
    return RasterFacts(name, tuple(labels), dtype, tags or {}, gsd_m, low, high, **more)


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("S2A_MSIL2A_20200229T101201_N0214_R022_T33UUU_20200301T120000.tif", "2020-02-29"),
        ("S1A_IW_GRDH_1SDV_20170613T165043_20170613T165108_016988.tif", "2017-06-13"),
        ("T33UUU_20170216T102101_B02.jp2", "2017-02-16"),
        ("LC08_L2SP_035032_20200101_20200823_02_T1_SR_B4.TIF", "2020-01-01"),
        ("LT50350322011182PAC01_b3.tif", "2011-07-01"),
        ("NAIP_20090818.tif", "2009-08-18"),
        ("ortho 2019-07-01 north.tif", "2019-07-01"),
        ("ortho_2019_07_01.tif", "2019-07-01"),
        ("flug_20240229.tif", "2024-02-29"),
        ("flug_20230229.tif", None),  # no leap year
        ("S2_20190230.tif", None),
        ("tile_12345678.tif", None),
        ("LT50350322011367PAC01.tif", None),
        ("scene.tif", None),
        ("part_120200101.tif", None),
    ],
)
def test_dates_in_names(name, day):
    assert guess_date(name, {})[0] == day


def test_tags_come_before_the_name_and_the_time_of_writing_is_no_date():
    assert guess_date("x_20200101.tif", {"ACQUISITION_DATE": "2019-12-31"})[0] == "2019-12-31"
    assert guess_date("x.tif", {"TIFFTAG_DATETIME": "2021:05:05 10:00:00"})[0] is None


@pytest.mark.parametrize(
    ("given", "sensor"),
    [
        (facts(labels=S2_CODES, dtype="uint16", gsd_m=10, high=3000), "s2"),
        (facts("S2_20170613.tif", S2_CODES, "uint16", gsd_m=10, high=3000), "s2"),
        (facts("stack.tif", [""] * 13, "uint16", gsd_m=10, high=3000), "s2"),
        (facts(labels=("VV", "VH"), dtype="float32", gsd_m=10, low=-25, high=-5), "s1"),
        (facts("S1_20170613.tif", ("", ""), "float32", gsd_m=10, low=0.01, high=0.4), "s1"),
        (facts("LT05_20080708.tif", ("red", "nir", "swir1"), "int16", gsd_m=30, high=3000), "landsat"),
        (facts("x.tif", ("Blue", "Green", "Red", "NIR", "SWIR1", "SWIR2"), "uint16", gsd_m=30, high=3000), "landsat"),
        (facts("kampala.tif", ("red", "green", "blue"), gsd_m=0.07), "hr"),
        (facts("pan.tif", ("gray",), "uint16", gsd_m=0.5, high=900), "hr"),
        (facts("NAIP_2020.tif", ("Red", "Green", "Blue", "NIR"), gsd_m=5), "hr"),
        (facts("cube.tif", [""] * 220, "float32", gsd_m=30, high=0.5), None),
    ],
)
def test_sensors(given, sensor):
    assert guess(given).sensor == sensor


def bands_of(given):
    return {band.band: band.index for band in guess(given).bands}


def test_bands_by_name_whatever_their_order():
    assert bands_of(facts("a.tif", ("nir", "green", "blue", "red"))) == {"R": 4, "G": 2, "B": 3, "N": 1}
    assert bands_of(facts("S2.tif", ("B8A", "B4 (665 nm)", "B02, central wavelength 490 nm"), "uint16", high=3000)) == {
        "B8A": 1, "B4": 2, "B2": 3,
    }  # fmt: skip


def test_bands_without_names():
    assert list(bands_of(facts("S2.tif", [""] * 12, "uint16", high=3000)).values()) == [2, 3, 4, 5, 6, 7, 8, 9, 11, 12]
    assert bands_of(facts("pan.tif", ("gray",))) == {"R": 1, "G": 1, "B": 1}
    assert bands_of(facts("rgba.tif", ("red", "green", "blue", "alpha"))) == {"R": 1, "G": 2, "B": 3}


def test_scaling_of_optical_products():
    s2 = {"labels": S2_CODES, "dtype": "uint16", "gsd_m": 10, "high": 4000.0}
    assert guess(facts("S2_20210101.tif", low=200, **s2)).scaling == Scaling(1e-4)
    assert guess(facts("S2_20220301.tif", low=1150, **s2)).scaling == Scaling(1e-4, -0.1)
    assert guess(facts("S2_20220301.tif", low=200, **s2)).scaling == Scaling(1e-4)  # harmonised
    assert guess(facts("S2A_MSIL2A_20210101T101201_N0400_R022.tif", low=200, **s2)).scaling == Scaling(1e-4, -0.1)
    assert guess(facts("S2.tif", S2_CODES, "float32", low=0.01, high=0.4)).scaling == Scaling()
    assert guess(facts("x.tif", dtype="uint8")).scaling == Scaling(1 / 255)
    assert guess(facts("x.tif", scale=1e-4, dtype="int16")).scaling == Scaling(1e-4)


def test_scaling_of_radar():
    s1 = {"labels": ("VV", "VH"), "gsd_m": 10}
    assert guess(facts(dtype="float32", low=-22, high=-5, **s1)).scaling == Scaling()
    assert guess(facts(dtype="int16", low=-2200, high=-500, **s1)).scaling == Scaling(0.01)
    assert guess(facts(dtype="float32", low=0.003, high=0.4, **s1)).scaling == Scaling(decibel=True)


def test_every_guess_has_a_reason():
    assert len(guess(facts(labels=S2_CODES, dtype="uint16", high=3000)).reasons) == 4
