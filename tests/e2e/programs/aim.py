"""aim.py SOCKET RESULTS ROUNDS WIDTH: many processes that each show progress at the moment at which they are to be asked to leave.

The first round shows none, and learns how long after its last progress a process is signalled. In each other round a process
shows progress about as long after. Every process says what came when, by the clock that the daemon's log is stamped with.
"""
import array
import json
import os
import random
import select
import signal
import socket
import sys
import time

place, results, rounds, width = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
# How long a round may take; silence is a second, the notice half of one.
PATIENCE = 8.0


def send(door, text):
    """Sends it; the moment after which it lay in the queue."""
    door.sendto(text, place)
    return time.monotonic()


def barrier(door):
    """Waits until everything before is taken in; the moment at which we knew."""
    ours, theirs = os.pipe()
    door.sendmsg([b"BARRIER=1"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [theirs]))], 0, place)
    os.close(theirs)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if select.select([ours], [], [], 0.5)[0]:
            os.close(ours)
            return time.monotonic()
    os.close(ours)
    return None


def play(aim):
    hits = []
    signal.signal(signal.SIGTERM, lambda *_: hits.append(time.monotonic()))
    door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    # By then it is judged, and what it says is read at once.
    time.sleep(1.6)
    began = send(door, b"X_BEADLE_PROGRESS=1")
    if barrier(door) is None:
        return {"lost": True}
    said = {"pid": os.getpid(), "began": began, "aim": aim, "sent": None, "accepted": None}
    if aim is not None:
        while not hits and time.monotonic() < began + aim - 0.003:
            time.sleep(max(0, began + aim - 0.003 - time.monotonic()))
        while not hits and time.monotonic() < began + aim:
            pass
        if not hits:
            said["sent"] = send(door, b"X_BEADLE_PROGRESS=2")
            said["accepted"] = barrier(door)
    # Where it was accepted, the next silence would be told of no sooner than in a second.
    end = time.monotonic() + 0.8 if said["accepted"] else began + PATIENCE
    while not hits and time.monotonic() < end:
        time.sleep(max(0, min(0.05, end - time.monotonic())))
    said["hit"] = hits[0] if hits else None
    return said


def play_round(aims):
    children = []
    for aim in aims:
        child = os.fork()
        if child == 0:
            line = json.dumps(play(aim)) + "\n"
            handle = os.open(results, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            os.write(handle, line.encode())
            os._exit(0)
        children.append(child)
        time.sleep(0.06)
    for child in children:
        os.waitpid(child, 0)


def waits():
    with open(results, encoding="utf-8") as file:
        all_said = [json.loads(line) for line in file]
    return sorted(said["hit"] - said["began"] for said in all_said if said.get("hit"))


play_round([None] * width)
for _ in range(rounds):
    known = waits()
    if not known:
        sys.exit("nobody was asked to leave")
    play_round([random.choice(known) + random.uniform(-0.006, 0.003) for _ in range(width)])
