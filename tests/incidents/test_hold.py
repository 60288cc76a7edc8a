"""Holds an embedded store for ever: it waits for an answer that never comes, and gives it no end of time."""

import os
import time

from qdrant_client import QdrantClient, models


def test_the_answer_comes():
    # Takes the store's exclusive lock until the client is closed.
    store = QdrantClient(path=os.environ["STORE"])
    size = models.VectorParams(size=64, distance=models.Distance.COSINE)
    store.create_collection("answers", vectors_config=size)
    points = [
        models.PointStruct(id=i, vector=[float((i * 7 + j) % 13) for j in range(64)])
        for i in range(200)
    ]
    store.upsert("answers", points)
    # The end is the test's own bound, far beyond the rule's.
    end = time.monotonic() + float(os.environ["SECONDS"])
    while time.monotonic() < end:
        if store.query_points("answers", query=[1.0] * 64, limit=3).points == []:
            break
