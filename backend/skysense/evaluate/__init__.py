"""Figures on labelled folders, one file a kind of evaluation. Rows are flat dictionaries that print and save alike."""
