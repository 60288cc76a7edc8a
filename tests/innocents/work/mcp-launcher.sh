#!/usr/bin/env bash
# Starts somebody and goes at once: mcp-launcher NUMBER PROGRAM
"$2" >/dev/null 2>&1 &
printf %s $! >"$1"
