#!/usr/bin/env bash
# Leaves somebody behind who was told to stay, and goes home after a while: shift SECONDS NUMBER PROGRAM [NEIGHBOR…]
nohup "$3" >/dev/null 2>&1 &
printf %s $! >"$2"
for neighbor in "${@:4}"; do
    "$neighbor" &
done
sleep "$1"
