"""Wants a result out of the store that another run holds: refused at once each time, it tries again at once."""

import os
import time

from qdrant_client import QdrantClient


def test_the_result_is_there():
    end = time.monotonic() + float(os.environ["SECONDS"])
    while time.monotonic() < end:
        try:
            store = QdrantClient(path=os.environ["STORE"])
        except RuntimeError:
            open(os.environ["STORE"] + ".refused", "a").close()
            continue
        # The other run went away, and left no result.
        found = store.collection_exists("result")
        store.close()
        if found:
            return
