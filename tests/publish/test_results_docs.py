"""What docs/results.md says is run."""

import re
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from databases import Database
from exporter_samples import report

from mlvitals.exporters.publish.results import open_results
from mlvitals.generator.contract import TOP_BINS_SQL

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "results.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_every_query_of_the_page_runs_on_both_databases(database: Database) -> None:
    with closing(database.open()) as store:
        store.save(report(system="streamrec"))
    top_bins, history, critical, outcomes = (database.rows(query) for query in blocks("sql"))
    assert [row[0] for row in top_bins[:2]] == ["age", "age"]
    assert history == outcomes == []
    assert critical == [("age", 1, 0.4)]
    kind = "sqlite" if database.results.url.startswith("sqlite") else "postgresql"
    for query in blocks(kind):
        assert database.rows(query) == []


def test_the_first_query_of_the_page_is_that_of_the_runbooks() -> None:
    assert blocks("sql")[0] == TOP_BINS_SQL.replace(":system", "'streamrec'").replace(":limit", "10") + ";\n"


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_the_set_up_of_the_page_is_enough(database: Database, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue("postgres")
    for statement in blocks("admin")[0].strip().splitlines():
        server.execute(statement)
    (database.folder / "password").write_text("choose one\n")
    url = f"postgresql+psycopg://drift@127.0.0.1:{server.port}/drift?connect_timeout=10"
    store = open_results(msgspec.structs.replace(database.results, url=url, password_file="password"), database.folder)
    store.save(report())
    assert store.last_report("shop") == report()
    store.close()
    server.execute("DROP DATABASE drift")
    server.execute("DROP ROLE drift")
