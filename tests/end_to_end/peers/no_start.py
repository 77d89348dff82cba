#!/usr/bin/env python3
"""Cannot start: a broken environment."""

import peer  # noqa: F401

raise SystemExit("ModuleNotFoundError: No module named 'torch'")
