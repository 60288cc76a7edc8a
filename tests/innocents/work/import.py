"""Imports a table into a fresh SQLite database and asks it for a sum: import DATABASE"""

import os
import sqlite3
import sys

ROWS = 100_000

path = sys.argv[1]
if os.path.exists(path):
    os.remove(path)
database = sqlite3.connect(path)
database.execute("CREATE TABLE reading (number INTEGER PRIMARY KEY, sensor TEXT, value REAL)")
with database:
    rows = ((number, f"sensor {number % 97}", number / 7) for number in range(ROWS))
    database.executemany("INSERT INTO reading VALUES (?, ?, ?)", rows)
    database.execute("CREATE INDEX by_sensor ON reading (sensor, value)")
(count,) = database.execute("SELECT count(DISTINCT number) FROM reading").fetchone()
sys.exit(count != ROWS)
