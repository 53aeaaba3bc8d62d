"""A results database of a test's own, SQLite or PostgreSQL, seen from outside."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from mlvitals.exporters.database import open_database
from mlvitals.exporters.publish.results import ResultsStore, open_results
from mlvitals.generator.spec.model import Results


@dataclass(frozen=True)
class Database:
    """What a spec in `folder` says of its results."""

    results: Results
    folder: Path

    def open(self) -> ResultsStore:
        return open_results(self.results, self.folder)

    def engine(self) -> Engine:
        return open_database(self.results.url, self.results.password_file, self.folder, create=True)

    def rows(self, query: str, **parameters: object) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        engine = self.engine()
        try:
            with engine.begin() as connection:
                found = connection.execute(text(query), parameters)
                return [tuple(row) for row in found] if found.returns_rows else []
        finally:
            engine.dispose()

    def count(self, table: str) -> int:
        return self.rows(f"SELECT count(*) FROM {table}")[0][0]
