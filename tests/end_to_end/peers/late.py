#!/usr/bin/env python3
"""Answers, and once more half a second later, when nobody waits any more."""

import time

from peer import capabilities, hello, messages, models, send

hello()
capabilities()
for message in messages():
    send(models(message["job"]))
    time.sleep(0.5)
    send(models(message["job"]))
