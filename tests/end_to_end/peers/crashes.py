#!/usr/bin/env python3
"""Crashes at the first call, as a fault in native code does it."""

import os
import signal

from peer import capabilities, hello, messages

hello()
capabilities()
for _ in messages():
    os.kill(os.getpid(), signal.SIGSEGV)
