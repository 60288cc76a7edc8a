"""Becomes a daemon by the book, which serves a folder on the loopback interface: daemon SECONDS NUMBER"""

import os
import signal
import sys

seconds, number = int(sys.argv[1]), sys.argv[2]
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
with open(number, "w") as file:
    file.write(str(os.getpid()))
# It holds through the exec: nobody else ends it.
signal.alarm(seconds)
os.execv(sys.executable, [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "0"])
