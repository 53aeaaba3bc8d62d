"""NannyML: the mean and the root mean square of the errors, chunk by chunk. Runs in NannyML's own environment.

Prints a line of JSON for each statistic and stream: the windows in which it signalled, by NannyML's default thresholds of
three standard deviations of the reference's chunks. With `employment FOLDER` it writes the employment data that it ships.
"""

import json
import sys
from pathlib import Path

import nannyml
import pandas as pd


def streams(before_path: str, after_path: str) -> None:
    """Print what is found in each stream."""
    before, after = pd.read_parquet(before_path), pd.read_parquet(after_path)
    for stream, rows in after.groupby("stream"):
        reference = before[before.stream == stream].reset_index(drop=True)
        now = rows.reset_index(drop=True)
        size = int(now.groupby("window").size().median())
        now["outcome"], now["score"] = 0.0, now["error"]
        reference["outcome"], reference["score"] = 0.0, reference["error"]
        calculators = {
            "NannyML mean of chunks": nannyml.SummaryStatsAvgCalculator(column_names=["error"], chunk_size=size),
            "NannyML RMSE of chunks": nannyml.PerformanceCalculator(
                problem_type="regression", y_true="outcome", y_pred="score", metrics=["rmse"], chunk_size=size
            ),
        }
        for name, calculator in calculators.items():
            calculator.fit(reference)
            result = calculator.calculate(now).filter(period="analysis").to_df()
            alerts = result.loc[:, [column for column in result.columns if column[-1] == "alert"]].any(axis=1)
            starts = [int(now.window.iloc[min(chunk * size, len(now) - 1)]) for chunk in range(len(alerts))]
            found = sorted({window for window, is_bad in zip(starts, alerts, strict=True) if is_bad})
            print(json.dumps({"detector": name, "stream": int(stream), "windows": found}), flush=True)


def employment(folder: str) -> None:
    """Write the reference and the later rows of the employment data."""
    reference, analysis, targets = nannyml.load_us_census_ma_employment_data()
    later = analysis.merge(targets, on="id") if "id" in targets else analysis.join(targets)
    for name, frame in (("reference", reference), ("analysis", later)):
        outcome = "employed" if "employed" in frame else frame.columns[-1]
        Path(folder).mkdir(parents=True, exist_ok=True)
        pd.DataFrame({"score": frame["predicted_probability"], "outcome": frame[outcome]}).to_parquet(
            Path(folder) / f"{name}.parquet"
        )


if sys.argv[1] == "employment":
    employment(sys.argv[2])
else:
    streams(*sys.argv[1:3])
