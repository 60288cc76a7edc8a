"""Feeds twenty workers; a round is good when each task came back and nobody is missing: pool SECONDS NOTE"""

import signal
import sys
import time
from multiprocessing import Process, SimpleQueue

WORKERS = 20
TASKS = 100


def work(tasks, results, seconds):
    # Also without anybody to end it.
    signal.alarm(seconds + 10)
    while True:
        number = tasks.get()
        end = time.process_time() + 0.002
        while time.process_time() < end:
            pass
        results.put(number)


def main():
    seconds, note = int(sys.argv[1]), sys.argv[2]
    end = time.monotonic() + seconds
    tasks, results = SimpleQueue(), SimpleQueue()
    workers = [
        Process(target=work, args=(tasks, results, seconds), daemon=True) for _ in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    while time.monotonic() < end:
        # A task that is lost would be waited for: that must end too, and loudly.
        signal.alarm(30)
        for number in range(TASKS):
            tasks.put(number)
        good = {results.get() for _ in range(TASKS)} == set(range(TASKS))
        good = good and all(worker.is_alive() for worker in workers)
        with open(note, "a") as file:
            print("ok" if good else "failed", file=file)
        time.sleep(0.5)


if __name__ == "__main__":
    main()
