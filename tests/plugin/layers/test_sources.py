"""Which layers are files."""

from __future__ import annotations

import pytest
from qgis.core import QgsRasterLayer

from skysense_qgis.layers.sources import LayerError, file_path, is_file_layer, needs_drawing


def test_a_file_layer_gives_its_path_also_with_open_options(kampala):
    path = kampala.source()
    assert file_path(kampala) == path and is_file_layer(kampala) and not needs_drawing(kampala)
    assert file_path(QgsRasterLayer(f"{path}|option:NUM_THREADS=2", "with options")) == path


def test_a_tile_layer_is_drawn_and_says_so(tiles):
    assert needs_drawing(tiles) and not is_file_layer(tiles)
    with pytest.raises(LayerError, match="tiles is drawn by QGIS .* Save it as a GeoTIFF"):
        file_path(tiles)


def test_what_is_no_raster_is_refused(polygons):
    for layer in (None, polygons):
        assert not is_file_layer(layer)
        with pytest.raises(LayerError, match="Choose a raster"):
            file_path(layer)


@pytest.mark.parametrize(
    ("source", "remedy"),
    [
        ("/vsizip//data/images.zip/a.tif", "GeoTIFF on this computer"),
        ("/vsicurl/https://example.org/a.tif", "GeoTIFF on this computer"),
        ("GPKG:/data/images.gpkg:first", "one of several rasters"),
        ('NETCDF:"/data/cube.nc":temperature', "one of several rasters"),
        ("/data/moved away.tif", "Repair the layer's source"),
    ],
)
def test_sources_that_the_engine_cannot_open_name_a_remedy(qgis_app, source, remedy):
    layer = QgsRasterLayer(source, "layer", "gdal")
    with pytest.raises(LayerError, match=remedy):
        file_path(layer)
    assert not needs_drawing(layer)
