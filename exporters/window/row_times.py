"""The times of a log's rows, by which windows of a number of rows are found."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlvitals.exporters.parts import Window
from mlvitals.exporters.reading.log import Log, LogSection
from mlvitals.exporters.reading.scan import BrokenFileError
from mlvitals.exporters.reading.sources import LogError
from mlvitals.exporters.schedule import RowTimes


def row_times(section: LogSection, base_dir: Path) -> RowTimes:
    """Return what looks up the times of the rows of an interval, in order.

    What cannot be read counts no rows here: whoever measures the window reports it.
    """

    def times(window: Window) -> NDArray[np.int64]:
        found = [np.empty(0, np.int64)]
        with suppress(LogError):
            for part in Log(section, base_dir).files(window):
                with suppress(BrokenFileError):
                    found += [_microseconds(chunk.times) for chunk in part.chunks({}) if chunk.times is not None]
        return np.sort(np.concatenate(found))

    return times


def _microseconds(times: Any) -> NDArray[np.int64]:
    numbers: NDArray[np.int64] = (
        times.drop_null().cast(pa.timestamp("us", "UTC"), safe=False).cast(pa.int64()).to_numpy()
    )
    return numbers
