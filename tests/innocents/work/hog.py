"""Holds 96 MiB, and does nothing with them."""

import os
import time

held = bytearray(96 << 20)
for at in range(0, len(held), 4096):
    held[at] = 1
time.sleep(float(os.environ["SECONDS"]))
