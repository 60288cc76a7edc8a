"""stuck.py MANNER: what is stuck, and its healthy twins, which look the same at any one moment.

Each lives for SECONDS and writes what it has done to standard output, if it has done anything.
"""

import fcntl
import hashlib
import http.server
import multiprocessing
import os
import subprocess
import sys
import threading
import time

END = time.monotonic() + float(os.environ["SECONDS"])


def left():
    return time.monotonic() < END


def burn(seconds):
    until = min(time.monotonic() + seconds, END)
    while time.monotonic() < until:
        pass


def deadlock():
    """Two threads, each with the lock that the other wants."""
    one, other = threading.Lock(), threading.Lock()

    def take(first, second):
        with first:
            time.sleep(0.5)
            second.acquire()

    pair = [threading.Thread(target=take, args=locks, daemon=True) for locks in [(one, other), (other, one)]]
    for thread in pair:
        thread.start()
    for thread in pair:
        thread.join()


def block():
    """Waits for a lock on a file that a neighbour holds."""
    path = os.environ["LOCK"]
    holder = subprocess.Popen([sys.executable, __file__, "hold"])
    while not os.path.exists(path + ".held"):
        time.sleep(0.05)
    with open(path, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
    holder.wait()


def hold():
    file = open(os.environ["LOCK"], "a")
    fcntl.flock(file, fcntl.LOCK_EX)
    open(os.environ["LOCK"] + ".held", "a").close()
    time.sleep(max(0.0, END - time.monotonic()))


def wait_for_work(queue):
    queue.get()


def hang():
    """A pool of which one worker died, and nobody brings work to the others."""
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [context.Process(target=wait_for_work, args=(queue,), daemon=True) for _ in range(8)]
    for worker in workers:
        worker.start()
    workers[0].kill()
    results = context.Queue()
    results.get()


def futile():
    """Reads at the end of a file, as fast as it can."""
    with open(os.devnull, "rb", buffering=0) as nothing:
        while left():
            nothing.read(1)


def compute():
    burn(1e9)


def again():
    """Tries the same thing again and again: reads two small files, finds nothing, begins anew."""
    path = os.environ["LOCK"] + ".again"
    with open(path, "w") as file:
        file.write("nothing here\n" * 5000)
    while left():
        with open(path) as file:
            assert "wanted" not in file.read()


def slow():
    done = 0
    while left():
        burn(1.0)
        time.sleep(1.5)
        done += 1
        print(done, flush=True)


def work(number):
    burn(0.02)
    return number


def pool():
    done = 0
    with multiprocessing.get_context("fork").Pool(8) as workers:
        while left():
            done += len(workers.map(work, range(16)))
            time.sleep(0.5)
            print(done, flush=True)


def server():
    """Waits for whoever calls, and nobody does."""
    http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler).serve_forever()


def search():
    """Looks for something in every file there is, and says nothing until it has found it."""
    digest = hashlib.sha256()
    while left():
        for folder, _, names in os.walk("/usr"):
            for name in names:
                try:
                    with open(os.path.join(folder, name), "rb") as file:
                        while left() and (block := file.read(1 << 16)):
                            digest.update(block)
                except OSError:
                    pass
                if not left():
                    return


def consume():
    """Takes in what another sends through a pipe, and says nothing until the end."""
    source = subprocess.Popen(["cat", "/dev/zero"], stdout=subprocess.PIPE)
    digest = hashlib.sha256()
    while left():
        digest.update(source.stdout.read(1 << 16))
    source.kill()
    source.wait()


globals()[sys.argv[1]]()
