#!/usr/bin/env bash
# Builds a crate and all it depends on from nothing, four compilers at a time.
rm -rf target
exec "$CARGO" build --offline --quiet --jobs 4
