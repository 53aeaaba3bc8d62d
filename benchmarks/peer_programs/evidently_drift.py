"""Evidently: PSI of each column. Runs in Evidently's own environment; prints CPU seconds."""

import sys
from time import process_time

import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset

reference, current = (pd.read_parquet(path) for path in sys.argv[1:3])
start = process_time()
Report([DataDriftPreset(method="psi")]).run(current, reference).dict()
print(process_time() - start)
