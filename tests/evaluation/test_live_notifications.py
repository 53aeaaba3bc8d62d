"""One page a cause, none without one: StreamRec's own series in a real Prometheus and Alertmanager, 300 times as fast."""

import pytest

from tests.evaluation.live_notifications import HAPPENINGS, play_all

NO_CAUSE = {"one request fails"}


@pytest.mark.exercise
def test_a_cause_is_one_page_and_a_failed_request_none(servers, tmp_path):
    for program in ("prometheus", "promtool", "alertmanager"):
        servers(program)
    heard = play_all(tmp_path)
    expected = {each.name: int(each.name not in NO_CAUSE) for each in HAPPENINGS}
    assert {name: each.pages for name, each in heard.items()} == expected
    assert heard["one request fails"].messages == 0
    assert not any("resolve" in title for title in heard["Prometheus restarts during March 3"].titles)
