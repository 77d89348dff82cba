#!/usr/bin/env python3
"""Beats all the time and never looks at a cancel."""

import time

from peer import capabilities, hello, send

hello()
capabilities()
while True:
    send({"kind": "Heartbeat", "busy": True})
    time.sleep(0.2)
