"""The parts of `training.pretrain`: settings, batches, what learns, its loss, what is watched and what is kept."""
