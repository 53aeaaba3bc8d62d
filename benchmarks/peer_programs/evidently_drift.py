"""Evidently: PSI of each column. Runs in Evidently's own environment; prints seconds."""

import sys
from time import perf_counter

import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset

reference, current = (pd.read_parquet(path) for path in sys.argv[1:3])
start = perf_counter()
Report([DataDriftPreset(method="psi")]).run(current, reference).dict()
print(perf_counter() - start)
