"""linger.py BEATS CONTROL TOLD: passes streams whose last close waits for half a minute to both sockets of a daemon."""
import array
import os
import socket
import struct
import sys
import time

beats, control, told = sys.argv[1:4]
# Nobody takes what is sent to it, as long as we live.
listener = socket.create_server(("127.0.0.1", 0))


def give(door, text, *place):
    stream = socket.create_connection(listener.getsockname())
    stream.setblocking(False)
    try:
        while True:
            stream.send(bytes(65536))
    except BlockingIOError:
        pass
    stream.setblocking(True)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 30))
    try:
        door.sendmsg([text], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [stream.fileno()]))], 0, *place)
    except OSError as error:
        # Who refuses it is not held up by it.
        print(error, file=sys.stderr)
    stream.detach()


child = os.fork()
if child == 0:
    for text in (b"WATCHDOG=1", b"BARRIER=1", b"X_BEADLE_PROGRESS=1", b"nothing"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
            give(door, text, beats)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.connect(control)
        give(door, b"nonsense\n")
    # Whoever ends waits for no close: the daemon's is the last.
    os._exit(0)
os.waitpid(child, 0)
with open(told, "w") as file:
    file.write("sent")
time.sleep(float(os.environ["SECONDS"]))
