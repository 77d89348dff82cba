"""The panels of the long jobs: a form each, a request out of it, its result into the project."""
