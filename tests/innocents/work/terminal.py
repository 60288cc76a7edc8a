"""A terminal with an interactive shell in it, and what people do there: terminal SECONDS NUMBER DEED PROGRAM [NEIGHBOR]

`stop` opens an editor and stops it with Ctrl-Z; shell and editor stay, with whoever else is started there. Their numbers
go to NUMBER.shell and NUMBER.editor. `leave` starts a program, disowns it, and leaves; its number goes to NUMBER.
"""

import os
import pty
import select
import sys
import time

seconds, number, deed, program, *neighbor = sys.argv[1:]
end = time.monotonic() + int(seconds)

shell, screen = pty.fork()
if shell == 0:
    os.environ["TERM"] = "xterm"
    os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])


def watch(span, done):
    """Looks at the screen for so long, or until it is done."""
    until = min(end, time.monotonic() + span)
    while time.monotonic() < until:
        if done():
            return True
        if select.select([screen], [], [], 0.1)[0]:
            try:
                os.read(screen, 4096)
            except OSError:
                return done()
    return done()


def type_in(line):
    os.write(screen, line.encode() + b"\n")


def told(path):
    return lambda: os.path.exists(path) and os.path.getsize(path) > 0


def in_front():
    return os.tcgetpgrp(screen) != shell


def stop():
    type_in(f"printf %s $$ >{number}.shell")
    watch(10, told(f"{number}.shell"))
    type_in(program)
    watch(10, in_front)
    # An editor that is not up yet drops what was typed before.
    while time.monotonic() < end and in_front():
        watch(1, lambda: False)
        os.write(screen, b"\x1a")
        watch(1, lambda: not in_front())
    type_in(f"jobs -p | tr -d '\\n' >{number}.editor")
    watch(10, told(f"{number}.editor"))
    for one in neighbor:
        type_in(f"{one} &")
    watch(float(seconds), lambda: False)


def leave():
    type_in(f"{program} & disown; printf %s $! >{number}")
    watch(10, told(number))
    type_in("exit")
    watch(5, lambda: False)


stop() if deed == "stop" else leave()
