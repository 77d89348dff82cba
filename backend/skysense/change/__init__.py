"""Change between two dates without labels: scores, thresholds, objects and patches, on arrays."""
