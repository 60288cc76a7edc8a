#!/usr/bin/env bash
# Becomes a command that has a child it never asked for: beside NEIGHBOR COMMAND…
"$1" &
shift
exec "$@"
