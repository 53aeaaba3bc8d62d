"""NannyML: KS and JS of each column, fitted beforehand. Runs in NannyML's own environment; prints seconds."""

import sys
from time import perf_counter

import pandas as pd
from nannyml import UnivariateDriftCalculator

reference, current = (pd.read_parquet(path) for path in sys.argv[1:3])
calculator = UnivariateDriftCalculator(
    column_names=list(reference), continuous_methods=["kolmogorov_smirnov", "jensen_shannon"], chunk_number=1
).fit(reference)
start = perf_counter()
calculator.calculate(current)
print(perf_counter() - start)
