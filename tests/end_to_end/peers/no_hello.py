#!/usr/bin/env python3
"""Starts and never greets."""

from peer import messages

for _ in messages():
    pass
