#!/usr/bin/env python3
"""Announces a reply of a tebibyte, and begins to send it."""

from peer import capabilities, hello, messages, send

hello()
capabilities()
for _ in messages():
    send(b"Content-Length: %d\r\n\r\n" % 2**40)
    while True:
        send(b"x" * 65536)
