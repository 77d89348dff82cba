#!/usr/bin/env python3
"""Sends a message with a field that nobody knows."""

from peer import capabilities, hello, messages, send

hello()
capabilities()
for _ in messages():
    send({"kind": "Heartbeat", "busy": True, "mood": "fine"})
