#!/usr/bin/env bash
# Installs pytest into a fresh environment: install PYTHON WHEELS FOLDER
set -e
rm -rf "$3"
"$1" -m venv --without-pip "$3"
exec "$1" -m pip --python "$3/bin/python" install --quiet --no-cache-dir --no-index --find-links "$2" pytest
