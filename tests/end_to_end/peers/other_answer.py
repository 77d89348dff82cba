#!/usr/bin/env python3
"""Answers with the result of another request."""

import time

from peer import capabilities, hello, messages, send

hello()
capabilities()
for message in messages():
    time.sleep(0.2)  # for what was logged to come first
    send({"kind": "Result", "job": message["job"], "result": {"kind": "ViewClosed", "view": "1"}})
