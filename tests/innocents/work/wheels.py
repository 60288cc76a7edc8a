"""Packs installed distributions into wheels again, so that to install them needs no network: wheels FOLDER NAME…"""

import sys
import zipfile
from importlib.metadata import distribution

folder, *names = sys.argv[1:]
for name in names:
    found = distribution(name)
    lines = found.read_text("WHEEL").splitlines()
    tag = next(line for line in lines if line.startswith("Tag: ")).split()[1]
    with zipfile.ZipFile(f"{folder}/{name}-{found.version}-{tag}.whl", "w") as wheel:
        for file in found.files:
            # Commands and compiled files are made where it is installed.
            if ".." not in file.parts and "__pycache__" not in file.parts:
                wheel.write(file.locate(), file)
