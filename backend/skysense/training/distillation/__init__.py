"""The parts of `training.distill`: teachers, data, one file a stage."""
