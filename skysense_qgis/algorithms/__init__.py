"""Processing algorithms: one file each; a subclass declares parameters and returns a request."""
