"""Busy all the time, as the runaways are; but every test ends, and the next one begins."""

import os
import time

import pytest


@pytest.mark.parametrize("number", range(int(os.environ["SECONDS"])))
def test_one_second(number):
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        pass
