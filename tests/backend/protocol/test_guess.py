"""Sensors, bands, scaling and dates from names and tags as they really occur."""

import pytest

from skysense.protocol.guess import RasterFacts, guess, guess_bands, guess_date
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


@pytest.mark.parametrize("name", ["LT05_035032_20110701.tif", "LE07_L2SP_035032_20110701_20200823_02_T1.tif", "LT50350322011182.tif"])
@pytest.mark.parametrize("prefix", ["SR_B", "B"])
def test_numbers_of_older_landsats_begin_with_blue(name, prefix):
    given = facts(name, [f"{prefix}{number}" for number in (1, 2, 3, 4, 5, 7)], "uint16", gsd_m=30, low=7500, high=12000)
    assert guess(given).sensor == "landsat"
    assert bands_of(given) == {"blue": 1, "green": 2, "red": 3, "nir": 4, "swir1": 5, "swir2": 6}


def test_numbers_of_newer_landsats_begin_with_coastal_blue():
    labels = [f"SR_B{number}" for number in range(1, 8)]
    newer = {"blue": 2, "green": 3, "red": 4, "nir": 5, "swir1": 6, "swir2": 7}
    assert bands_of(facts("LC09_L2SP_035032_20230101.tif", labels, "uint16", gsd_m=30, high=12000)) == newer
    tagged = facts("scene.tif", labels, "uint16", {"SPACECRAFT_ID": "LANDSAT_8"}, gsd_m=30, high=12000)
    assert bands_of(tagged) == newer


def test_numbers_of_an_unknown_landsat_are_asked_for():
    given = facts("landsat_scene.tif", [f"SR_B{number}" for number in range(1, 8)], "uint16", gsd_m=30, high=12000)
    assert guess(given).sensor == "landsat" and bands_of(given) == {}
    assert "choose the bands" in guess(given).reasons[1]


@pytest.mark.parametrize(
    ("labels", "sensor", "bands"),
    [
        (("492 nm", "560 nm", "665 nm", "833 nm", "1610 nm"), "s2", {"B2": 1, "B3": 2, "B4": 3, "B8": 4, "B11": 5}),
        (("Band 1 (664.6 Nanometers)", "Band 2 (559.8 Nanometers)", "Band 3 (492.4 Nanometers)", "Band 4 (864.7 Nanometers)"),
         "s2", {"B2": 3, "B3": 2, "B4": 1, "B8A": 4}),
        (("0.485 µm", "0.56 µm", "0.66 µm", "0.83 µm", "1.65 µm", "2.215 µm"), "landsat",
         {"blue": 1, "green": 2, "red": 3, "nir": 4, "swir1": 5, "swir2": 6}),
    ],
)  # fmt: skip
def test_wavelengths_tell_sensor_and_bands(labels, sensor, bands):
    given = facts("stack.tif", labels, "uint16", gsd_m=20, high=3000)
    assert guess(given).sensor == sensor and bands_of(given) == bands


def test_wavelengths_of_a_fine_picture_and_of_a_spectrometer():
    fine = facts("x.tif", ("440 nm", "475 nm", "560 nm", "668 nm", "717 nm"), "uint16", gsd_m=0.1, high=3000)
    assert guess(fine).sensor == "hr" and bands_of(fine) == {"R": 4, "G": 3, "B": 2}
    cube = [f"{wave} nm" for wave in range(400, 2500, 10)]
    assert guess(facts("cube.tif", cube, "uint16", gsd_m=30, high=3000)).sensor is None
    chosen = {band.band: cube[band.index - 1] for band in guess_bands("s2", cube)[0]}
    assert len(chosen) == 10 and chosen["B4"] == "660 nm" and chosen["B12"] == "2200 nm"


@pytest.mark.parametrize(
    ("name", "bands"),
    [
        ("T33UUU_20170216T102101_B04.jp2", {"B4": 1}),
        ("T33UUU_20170216T102101_B8A_20m.jp2", {"B8A": 1}),
        ("T33UUU_20170216T102101_B09.jp2", {}),
        ("LC08_L2SP_035032_20200101_20200823_02_T1_SR_B4.TIF", {"red": 1}),
        ("LT05_L2SP_035032_20110701_20200823_02_T1_SR_B4.TIF", {"nir": 1}),
        ("S1A_20170613_VH.tif", {"VH": 1}),
        ("s1a-iw-grd-vv-20170613t165043.tiff", {"VV": 1}),
    ],
)
def test_the_name_tells_the_band_of_a_file_with_one(name, bands):
    assert bands_of(facts(name, ("gray",), "uint16", gsd_m=10, high=3000)) == bands


def test_seven_bands_without_names_of_an_older_landsat():
    bands, _ = guess_bands("landsat", ("",) * 7, "LT05_20110701.tif")
    assert [band.index for band in bands] == [1, 2, 3, 4, 5, 7]


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


def test_amplitudes_of_radar_are_not_called_power():
    given = facts("S1.tif", ("VV", "VH"), "uint16", gsd_m=10, low=40, high=900)
    assert "calibrate" in guess(given).reasons[2] and "linear power" not in guess(given).reasons[2]


def test_every_guess_has_a_reason():
    assert len(guess(facts(labels=S2_CODES, dtype="uint16", high=3000)).reasons) == 4
