"""Segmentation by example: a few polygons say what to look for, a mask says where else it is."""
