"""Our models against numbers of the released ones: what `skysense check-parity` runs."""
