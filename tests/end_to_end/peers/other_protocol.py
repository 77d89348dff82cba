#!/usr/bin/env python3
"""Speaks a protocol of the future."""

from peer import hello, messages

hello(protocol=99)
for _ in messages():
    pass
