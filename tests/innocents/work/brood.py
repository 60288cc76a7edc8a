"""Has six children who do nothing, like itself."""

import os
import time

for _ in range(6):
    if os.fork() == 0:
        break
time.sleep(float(os.environ["SECONDS"]))
