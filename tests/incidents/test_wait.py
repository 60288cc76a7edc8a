"""Wants the store that another run holds: refused at once each time, it tries again at once."""

import os
import time

from qdrant_client import QdrantClient


def test_the_store_is_free():
    end = time.monotonic() + float(os.environ["SECONDS"])
    while time.monotonic() < end:
        try:
            QdrantClient(path=os.environ["STORE"])
            return
        except RuntimeError:
            open(os.environ["STORE"] + ".refused", "a").close()
