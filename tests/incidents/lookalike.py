"""Burns two seconds of processor time under a name that only sounds like a test run, then stays."""

import os
import time

while time.process_time() < 2.0:
    pass
time.sleep(float(os.environ["SECONDS"]))
