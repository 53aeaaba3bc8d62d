"""River: ADWIN, Page-Hinkley and KSWIN on the errors of streams, row by row. Runs in River's own environment.

Prints a line of JSON for each detector and stream: the windows in which it signalled.
"""

import json
import sys

import pyarrow.parquet as pq
from river import drift

WARM_UP = 2000
"""Rows of the reference that a detector sees first; what it signals in them does not count."""
DETECTORS = {
    "River ADWIN": drift.ADWIN,
    "River Page-Hinkley": drift.PageHinkley,
    "River KSWIN": lambda: drift.KSWIN(seed=1),
}

before, after = (pq.read_table(path).to_pandas() for path in sys.argv[1:3])
for name, make in DETECTORS.items():
    for stream, rows in after.groupby("stream"):
        detector, signalled = make(), set()
        for error in before.loc[before.stream == stream, "error"].tail(WARM_UP):
            detector.update(error)
        for window, error in zip(rows.window, rows.error, strict=True):
            detector.update(error)
            if detector.drift_detected:
                signalled.add(window)
        print(json.dumps({"detector": name, "stream": int(stream), "windows": sorted(map(int, signalled))}), flush=True)
