"""Every generated query, run against a live Prometheus."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from mlvitals.commands.common import duration, http_url, load, spec_argument


@click.command()
@spec_argument
@click.option("--prometheus", "url", type=http_url, metavar="URL", required=True, help="URL of Prometheus.")
@click.option(
    "--range",
    "ranges",
    type=duration,
    multiple=True,
    default=("1h",),
    show_default=True,
    help="Time range of the dashboards; may be repeated.",
)
@click.option(
    "--slow", type=duration, default="300ms", show_default=True, help="A query that takes longer than this is slow."
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (schema mlvitals.verify/1).")
def verify(spec_path: Path, url: str, ranges: tuple[timedelta, ...], slow: timedelta, as_json: bool) -> None:
    """Run every query of dashboards, rules and runbooks against a live Prometheus.

    Exits with 1 if a query fails, returns nothing, returns only NaN, or is slow. A query that is empty because all is well,
    or because the system is still learning what gap to expect, does not count.
    """
    import msgspec

    from mlvitals.generator.compiler import compile_spec
    from mlvitals.generator.spec.durations import seconds
    from mlvitals.terminal.verification import verification_text
    from mlvitals.verification.calm import excuses_of
    from mlvitals.verification.intervals import Span
    from mlvitals.verification.queries import queries
    from mlvitals.verification.server import Prometheus
    from mlvitals.verification.verify import verify as verified

    spec = load(spec_path)
    scrape = seconds(spec.telemetry.scrape_interval)
    done = verified(
        queries(compile_spec(spec, spec_path.name)),
        Prometheus(url),
        [Span(length, scrape) for length in ranges],
        now=datetime.now(UTC).timestamp(),
        slow_seconds=slow.total_seconds(),
        excuses=excuses_of(spec),
    )
    click.echo(msgspec.json.encode(done).decode() if as_json else verification_text(done))
    sys.exit(1 if done.findings else 0)
