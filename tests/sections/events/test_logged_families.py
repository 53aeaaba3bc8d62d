"""Who publishes an event of the log, from the page of an exporter that lives through the usual troubles."""

import io
from datetime import datetime
from html import unescape
from pathlib import Path

import pytest
from click.testing import CliRunner
from event_samples import HOUR, MINUTE, NOON, SPEC, TEXT, events, window_report, write
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from mlvitals.cli import main
from mlvitals.evaluation.history import spec_of_folder
from mlvitals.exporters.database import DatabaseError
from mlvitals.exporters.parts import Window
from mlvitals.exporters.process.backfill import backfill
from mlvitals.exporters.process.exporter import Exporter
from mlvitals.exporters.process.json_log import JsonLog
from mlvitals.exporters.publish.html.page import html_page
from mlvitals.exporters.publish.prometheus import samples_of_window
from mlvitals.exporters.publish.results import ResultsStore, open_results
from mlvitals.exporters.reference.stores import DirectoryStore
from mlvitals.exporters.schedule import Steps
from mlvitals.exporters.sections.events.measure import measure_events
from mlvitals.exporters.sections.events.report import EventCount, EventsReport
from mlvitals.exporters.serving.telemetry import PredictionTelemetry
from mlvitals.exporters.training.data import build_from_files
from mlvitals.generator.contract import Contract, Producer
from mlvitals.generator.estimate import estimate
from mlvitals.generator.spec.load import parse_spec
from mlvitals.terminal.drift import drift_table

MIXED = parse_spec(
    TEXT.replace("clicks: {source: log, logged_as: click}", "clicks: {}")
    .replace("listed_items: {source: log, logged_as: listing, distinct: item}", "listed_items: {}")
    .replace("serving: {enabled: false}", "serving: {enabled: true}")
)


class Shop:
    """A folder with the shop's logs and results, in which exporters start and stop at a time that is set."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = NOON + 5 * MINUTE
        (folder / "log").mkdir()
        training = folder / "training.csv"
        training.write_text("age,timestamp\n" + "".join(f"{30 + row},2026-01-01T00:00:0{row}Z\n" for row in range(9)))
        self.store = DirectoryStore(folder / "references", "shop")
        version = self.store.save(build_from_files(SPEC, folder, [str(training)], created=NOON - 99 * HOUR))
        self.store.promote(version, "production")

    def clock(self) -> datetime:
        return self.now

    def start(self) -> Exporter:
        """A new process, as it is after it restored what the one before it kept."""
        results = open_results(SPEC.results, self.folder)
        log = JsonLog(io.StringIO(), self.clock, "shop")
        exporter = Exporter(SPEC, self.folder, self.store, results, self.clock, log)
        exporter.restore()
        return exporter


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def clicks(exporter: Exporter) -> float | None:
    return value(exporter, "shop_clicks_total")


def value(exporter: Exporter, name: str) -> float | None:
    families = text_string_to_metric_families(exporter.metrics().body.decode())
    found = [sample.value for family in families for sample in family.samples if sample.name == name]
    assert len(found) < 2
    return found[0] if found else None


# ---------------------------------------------------------------- the exporter


def test_totals_begin_at_zero_so_that_the_first_step_is_seen_as_a_rise(shop: Shop):
    write(shop.folder, events("click", NOON - MINUTE, 4))
    exporter = shop.start()
    assert clicks(exporter) == 0
    exporter.run_due()
    assert clicks(exporter) == 4


def test_totals_go_on_after_a_restart_and_through_windows_that_were_missed(shop: Shop):
    write(shop.folder, *(events("click", NOON - MINUTE + hour * HOUR, 10) for hour in range(5)))
    shop.start().run_due()
    shop.now += 4 * HOUR
    restarted = shop.start()
    assert clicks(restarted) == 10
    restarted.run_due()
    assert clicks(restarted) == 50


def test_a_step_that_could_not_be_read_leaves_no_total_and_counts_once_it_can(shop: Shop):
    exporter = shop.start()
    exporter.run_due()
    assert clicks(exporter) is None
    assert value(exporter, "shop_events_log_files_unreadable") == 1
    write(shop.folder, events("click", NOON + HOUR - MINUTE, 3))
    shop.now += HOUR
    exporter.run_due()
    assert clicks(exporter) == 3
    assert value(exporter, "shop_events_log_files_unreadable") == 0


def test_a_process_that_ends_between_counting_and_saving_counts_once(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    def end(*_: object) -> None:
        raise DatabaseError("gone")

    write(shop.folder, events("click", NOON - MINUTE, 4))
    with monkeypatch.context() as patch:
        patch.setattr(ResultsStore, "save", end)
        shop.start().run_due()
    exporter = shop.start()
    assert clicks(exporter) == 4, "the step is counted already"
    exporter.run_due()
    assert clicks(exporter) == 4


def test_an_exporter_whose_newest_report_cannot_be_read_does_not_restart_its_totals(shop: Shop):
    write(shop.folder, events("click", NOON - MINUTE, 4))
    shop.start().run_due()
    with open_results(SPEC.results, shop.folder)._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE drift_windows SET report = '{}'")
    assert clicks(shop.start()) == 4


def test_distinct_values_are_a_figure_of_the_window(shop: Shop):
    write(shop.folder, events("impression", NOON - MINUTE, 4, item="a"), events("impression", NOON - HOUR, item="b"))
    exporter = shop.start()
    exporter.run_due()
    assert value(exporter, "shop_shown_items") == 2
    assert value(exporter, "shop_events_log_rows") == 5


def test_a_report_older_than_the_spec_publishes_no_event_that_is_not_the_logs_any_more():
    counted = {name: EventCount(amount=1, total=1) for name in ("impressions", "clicks", "gone")}
    found = EventsReport(step=Window(NOON - HOUR, NOON), window=Window(NOON - 2 * HOUR, NOON), events=counted)
    samples = samples_of_window(Contract(MIXED), window_report(found))
    assert "impressions_total" in samples
    assert "clicks_total" not in samples


# ---------------------------------------------------------------- the application


def test_the_application_publishes_its_own_events_and_none_of_the_log():
    telemetry = PredictionTelemetry(MIXED)
    telemetry.event("clicks")
    telemetry.set_unique("listed_items", 9)
    page = generate_latest(telemetry.registry).decode()
    assert "shop_clicks_total 1.0" in page
    assert "shop_listed_items 9.0" in page
    assert "shop_impressions_total" not in page
    assert "shop_shown_items" not in page


@pytest.mark.parametrize(("call", "event"), [("event", "impressions"), ("set_unique", "shown_items")])
def test_an_event_of_the_log_cannot_be_counted_by_the_application(call: str, event: str):
    with pytest.raises(ValueError, match=f"'{event}' comes from business.events_log, where the exporter counts it"):
        getattr(PredictionTelemetry(MIXED), call)(event, 1)


def test_every_event_has_one_producer():
    families = {family.name: family.producer for family in Contract(MIXED).families}
    assert families["shop_clicks_total"] is families["shop_listed_items"] is Producer.SERVING
    assert families["shop_impressions_total"] is families["shop_shown_items"] is Producer.EXPORTER


# ---------------------------------------------------------------- the past, estimates and pages


def test_a_backfill_that_keeps_nothing_has_running_totals_all_the_same(shop: Shop):
    write(shop.folder, *(events("click", NOON - MINUTE + hour * HOUR, 10) for hour in range(3)))
    reference = shop.store.load("production")
    windows = Steps(2 * HOUR, HOUR).windows(NOON - HOUR, NOON + 2 * HOUR)
    kept = {"measured_at": NOON + 9 * HOUR, "history": None}
    alone = list(backfill(SPEC, shop.folder, reference, windows, results=None, **kept))
    assert [report.events.events["clicks"].total for report in alone] == [10, 20, 30]
    results = open_results(SPEC.results, shop.folder)
    for _ in range(2):
        saved = list(backfill(SPEC, shop.folder, reference, windows, results=results, **kept))
        assert [report.events for report in saved] == [report.events for report in alone]


def test_an_evaluation_reads_the_events_of_its_history(tmp_path: Path):
    for name in ("predictions", "events"):
        (tmp_path / name).mkdir()
    assert spec_of_folder(SPEC, tmp_path).business.events_log.path == str(tmp_path / "events")


def test_an_estimate_counts_the_families_of_the_log():
    found = {family.family: family for family in estimate(SPEC, 0).families}
    assert found["shop_clicks_total"].producer is Producer.EXPORTER
    assert "shop_events_log_rejected" in found


def test_people_read_what_was_counted_and_what_was_left_out(shop: Shop):
    rows = [events("impression", NOON - MINUTE, 8, item="a"), events("click", NOON - MINUTE, 2)]
    write(shop.folder, *rows, events("purchase", NOON - MINUTE, euros=-1), events("<b>\x1b[31m", NOON - MINUTE, 3))
    report = window_report(measure_events(SPEC, shop.folder, Window(NOON - 2 * HOUR, NOON)))
    console = Console(file=io.StringIO(), width=200)
    drift_table(report, console)
    printed, page = console.file.getvalue(), html_page(report)
    for text in (printed, page):
        assert "2026-03-03 11:00 to 12:00 UTC: 14 rows of the log." in text
        assert "click_through_rate over this step: 0.25" in text
        assert "revenue: rows left out: negative amount 1" in text
        assert "rows of events that the spec does not know: 3 (" in unescape(text)
        assert '"<b>\\x1b[31m" 3)' in unescape(text)
        assert "\x1b[31m" not in text
    assert "<b>" not in page


# ---------------------------------------------------------------- one run of the command line


def drift(shop: Shop, *options: str) -> str:
    """The metrics that a run of `mlvitals drift` writes for the window that ended at noon."""
    spec, page = shop.folder / "shop.yaml", shop.folder / "shop.prom"
    spec.write_text(TEXT)
    times = ["--start", "2026-03-03T10:00Z", "--end", "2026-03-03T12:00Z"]
    run = CliRunner().invoke(main, ["drift", str(spec), *times, "--textfile", str(page), *options])
    assert run.exit_code == 0, run.output
    return page.read_text()


def test_a_single_run_publishes_totals_where_it_keeps_its_results_and_counts_once(shop: Shop):
    write(shop.folder, events("click", NOON - MINUTE, 4))
    assert "shop_clicks_total" not in drift(shop)
    for _ in range(2):
        assert "shop_clicks_total 4.0" in drift(shop, "--save")
