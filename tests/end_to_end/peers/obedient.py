#!/usr/bin/env python3
"""Works until it is cancelled, and stops at once."""

from peer import capabilities, hello, messages, send

hello()
capabilities()
for message in messages():
    if message["kind"] == "Cancel":
        send({"kind": "CancelReceived", "job": message["job"]})
        send({"kind": "Failure", "job": message["job"], "code": "cancelled", "sentence": "", "remedy": "", "log": ""})
