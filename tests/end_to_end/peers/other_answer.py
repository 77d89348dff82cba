#!/usr/bin/env python3
"""Answers with the result of another request."""

from peer import capabilities, hello, messages, send

hello()
capabilities()
for message in messages():
    send({"kind": "Result", "job": message["job"], "result": {"kind": "ViewClosed", "view": "1"}})
