#!/usr/bin/env python3
"""Greets, and never gets ready."""

from peer import hello, messages

hello()
for _ in messages():
    pass
