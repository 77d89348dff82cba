#!/usr/bin/env python3
"""Dies in the middle of a frame, as a process does that the system kills for its memory."""

from peer import capabilities, frame, hello, messages, models, send

hello()
capabilities()
for message in messages():
    data = frame(models(message["job"]))
    send(data[: len(data) // 2])
    break
