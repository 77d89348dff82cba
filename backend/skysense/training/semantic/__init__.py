"""SkySense++'s second stage, masked semantic learning: mosaics, masks, batches, the recipe, and one step of it."""
