"""A test run that is cut off while its sixty workers wait for work that nobody will bring: they outlive it."""

import multiprocessing
import os
import signal
import threading


def wait_for_work(queue, deaf):
    signal.alarm(90)
    if deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.setsid()
    held = bytearray(1 << 20)
    queue.get()
    return held


def test_sixty_workers_are_left_behind():
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    for number in range(60):
        context.Process(target=wait_for_work, args=(queue, number % 3 == 0)).start()
    # As a plugin for time limits does it: from a thread, without a word to anybody.
    threading.Timer(2, os._exit, [1]).start()
    threading.Event().wait()
