#!/usr/bin/env python3
"""A library has printed to the frames' descriptor."""

from peer import capabilities, hello, messages

hello()
capabilities()
for _ in messages():
    print("UserWarning: something is deprecated\n", flush=True)
    print("and more of it, until the reader has seen enough of it to be sure. " * 4, flush=True)
