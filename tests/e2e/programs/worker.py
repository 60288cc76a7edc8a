"""worker.py healthy|slow|fake|silent: notifies as services notify systemd, and knows nothing of beadle."""
import os
import socket
import sys
import time

manner, end = sys.argv[1], time.monotonic() + float(os.environ["SECONDS"])


def notify(**words):
    text = "\n".join(f"{name}={value}" for name, value in words.items())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])


def beat(done):
    notify(STATUS=f"{done}/1000", WATCHDOG=1, EXTEND_TIMEOUT_USEC=1_000_000)


# What is said in the first moment of a life counts, too.
notify(READY=1)
done = 0
while time.monotonic() < end:
    if manner == "silent":
        time.sleep(0.2)
        continue
    done = 7 if manner == "fake" else done + 1
    beat(done)
    time.sleep(1.5 if manner == "slow" else 0.2)
