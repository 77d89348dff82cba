#!/usr/bin/env python3
"""Acknowledges a cancel at once and then takes its time; its reply comes after the client gave up."""

import time

from peer import capabilities, hello, messages, models, send

hello()
capabilities()
for message in messages():
    if message["kind"] == "Cancel":
        send({"kind": "CancelReceived", "job": message["job"]})
        time.sleep(20)
        send(models(message["job"]))
