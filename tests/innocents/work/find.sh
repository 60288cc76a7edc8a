#!/usr/bin/env bash
# Walks through /usr. What vanishes or may not be read on the way is no trouble.
find /usr -xdev
(($? <= 1))
