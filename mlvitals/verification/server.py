"""Queries to a Prometheus server."""

import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlvitals.generator.errors import UserError

TIMEOUT_SECONDS = 60


class ServerError(UserError):
    """The address does not answer, or is not Prometheus."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a query: the values of each series, or the reason why it failed, and the duration."""

    series: tuple[tuple[float, ...], ...]
    error: str | None
    seconds: float


class Prometheus:
    """A Prometheus at a URL such as ``http://127.0.0.1:9090``."""

    def __init__(self, url: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise ServerError(f"{url}: a Prometheus address looks like http://127.0.0.1:9090")
        self._url = url.rstrip("/")

    def at(self, query: str, moment: float) -> Answer:
        """Query at one time, in Unix seconds."""
        return self._answer("query", query=query, time=moment)

    def over(self, query: str, start: float, end: float, step: float) -> Answer:
        """Query over a range, in Unix seconds."""
        return self._answer("query_range", query=query, start=start, end=end, step=step)

    def samples(
        self, query: str, start: float, end: float, step: float
    ) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
        """Return the labels of each series of a range, and its samples: Unix time and value.

        Raises:
            ServerError: it cannot be asked, or refuses the query.
        """
        form = urllib.parse.urlencode({"query": query, "start": start, "end": end, "step": step}).encode()
        answered = self._ask("query_range", form)
        if answered.get("status") != "success":
            raise ServerError(f"{self._url}: {answered.get('error', 'no reason given')}")
        return [
            (found["metric"], [(float(time), float(value)) for time, value in found["values"]])
            for found in answered["data"]["result"]
        ]

    def label_values(self, label: str, series: str, start: float, end: float) -> Sequence[str]:
        """Return the values of a label among some series, sorted.

        Raises:
            ServerError: the server cannot be queried.
        """
        data = {"match[]": series, "start": start, "end": end}
        answered = self._ask(f"label/{label}/values?{urllib.parse.urlencode(data)}", None)
        values: Sequence[str] = answered.get("data", [])
        return values

    def _answer(self, kind: str, **parameters: Any) -> Answer:
        before = time.perf_counter()
        answered = self._ask(kind, urllib.parse.urlencode(parameters).encode())
        taken = time.perf_counter() - before
        if answered.get("status") != "success":
            return Answer((), str(answered.get("error", "no reason given")), taken)
        return Answer(tuple(_series(answered["data"])), None, taken)

    def _ask(self, path: str, form: bytes | None) -> dict[str, Any]:
        try:
            request = urllib.request.Request(f"{self._url}/api/v1/{path}", data=form)  # noqa: S310  (checked: http)
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
                body = answer.read()
        except urllib.error.HTTPError as error:
            body = error.read()
        except TimeoutError:
            return {"status": "error", "error": f"no answer within {TIMEOUT_SECONDS} s"}
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise ServerError(f"{self._url} does not answer: {reason}") from error
        try:
            answered: dict[str, Any] = json.loads(body)
        except ValueError as error:
            raise ServerError(f"{self._url} is not Prometheus: /api/v1/{path.partition('?')[0]} is not JSON") from error
        return answered


def _series(data: dict[str, Any]) -> Sequence[tuple[float, ...]]:
    if data["resultType"] == "scalar":
        return [(float(data["result"][1]),)]
    if data["resultType"] == "string":
        return [()]
    return [
        tuple(float(value) for _, value in found.get("values") or ([found["value"]] if "value" in found else []))
        for found in data["result"]
    ]
