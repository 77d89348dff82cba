"""The plugin's end of the pipe. QtCore only, no widgets."""
