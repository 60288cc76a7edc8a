#!/usr/bin/env bash
# Does the same piece of work again and again, and notes what came of each: again SECONDS NOTE COMMAND…
most=$1 note=$2
shift 2
SECONDS=0
while ((SECONDS < most)); do
    if "$@" >/dev/null 2>>"$note.trouble"; then echo ok; else echo "failed: $?"; fi >>"$note"
    sleep 1
done
