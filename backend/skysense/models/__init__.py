"""Encoders and heads: torch and timm, no rasters. `interface.py` is what the jobs see, `catalog.py` what exists."""
