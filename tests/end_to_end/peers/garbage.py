#!/usr/bin/env python3
"""Answers with bytes that are no frame."""

from peer import capabilities, hello, messages, send

hello()
capabilities()
for _ in messages():
    send(b"\x00\xff garbage \r\n\r\n" * 50)
