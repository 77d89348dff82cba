#!/usr/bin/env python3
"""Takes calls and says nothing any more."""

from peer import capabilities, hello, messages

hello()
capabilities()
for _ in messages():
    pass
