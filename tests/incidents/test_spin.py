"""Spins for as long as it may."""

import os
import time


def test_spin():
    end = time.monotonic() + float(os.environ["SECONDS"])
    while time.monotonic() < end:
        pass
