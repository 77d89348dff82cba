"""Rasters in and out: one reader, one writer, grids and tiles. numpy and rasterio, no torch."""
