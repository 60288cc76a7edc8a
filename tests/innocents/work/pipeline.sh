#!/usr/bin/env bash
# Two write into a pipe, a third reads and notes: pipeline SECONDS NOTE [NEIGHBOR]
{
    if [ -n "${3-}" ]; then "$3" & fi
    SECONDS=0
    while ((SECONDS < $1)); do
        echo ok
        sleep 1
    done
} | tee -a "$2" >/dev/null &
printf %s $! >"$2.reader"
wait
