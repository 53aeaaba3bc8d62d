#!/bin/sh
# Check the stack of docker-compose.yml with whatever Docker is here: built, up, healthy, scraped, alarmed, recovered.
#
# usage: scripts/compose_check.sh [--keep]
#
# It runs under a project name of its own with volumes of its own, which it removes at the end unless --keep is given.
# HISTORY_DAYS (default 15): how much past it simulates; panels that look at the week before need 15 days, and with less
# `verify` names them. MLVITALS: the program for `verify` (default: mlvitals). SLOW: what it calls slow (default 2s).
# PATIENCE (default 1800): seconds that anything may take.
# COMPOSE_PROFILES=logs: with Loki and the collector.
# Host ports: those of docker-compose.yml; set STREAMREC_PORT, EXPORTER_PORT and the others where they are taken.
set -eu
cd "$(dirname "$0")/.."
export HISTORY_DAYS="${HISTORY_DAYS:-15}" COMPOSE_PROJECT_NAME="${COMPOSE_PROJECT_NAME:-mlvitals-check}"
prometheus=http://127.0.0.1:${PROMETHEUS_PORT:-9090}
failed=0 patience="${PATIENCE:-1800}"

say() { printf '%-7s%s\n' "$1" "$2"; }

check() {  # what, then a command
    what=$1
    shift
    if "$@" >/dev/null 2>&1; then say ok "$what"; else say FAILED "$what"; failed=1; fi
}

within() {  # what, then a command: tried until it succeeds
    what=$1
    shift
    deadline=$(($(date +%s) + patience))
    until "$@" >/dev/null 2>&1; do
        [ "$(date +%s)" -lt "$deadline" ] || { say FAILED "$what"; failed=1; return 0; }
        sleep 2
    done
    say ok "$what"
}

up() { docker compose up -d --build --wait --wait-timeout "$patience"; }

value() { curl -sSf "$prometheus/api/v1/query" --data-urlencode "query=$1" | sed -n 's/.*"value":\[[^,]*,"\([^"]*\)"\].*/\1/p'; }
is() { [ "$(value "$1")" = "$2" ]; }
rises_above() { [ "$(value "$1" | cut -d. -f1)" -gt "$2" ]; }
has_rules() { curl -sSf "$prometheus/api/v1/rules" | grep -q '"name":"MLWatchdog"'; }
inbox_has() { curl -sSf "http://127.0.0.1:${INBOX_PORT:-9110}/messages" | grep -q "$1"; }
grafana() { curl -sSf "http://127.0.0.1:${GRAFANA_PORT:-3000}$1" | grep -q "$2"; }
log_panel_tells() {  # a service: the panel's own query finds its lines, each an event
    docker compose exec -T exporter python -c '
import json, sys, urllib.parse, urllib.request
rows = json.load(sys.stdin)["panels"]
[panel] = [panel for row in rows for panel in row.get("panels", []) if panel["type"] == "logs"]
asked = urllib.parse.urlencode({"query": panel["targets"][0]["expr"]})
answer = json.load(urllib.request.urlopen("http://loki:3100/loki/api/v1/query_range?" + asked))
streams = [stream for stream in answer["data"]["result"] if stream["stream"]["service"] == sys.argv[1]]
sys.exit(not streams or any("event" not in json.loads(line) for stream in streams for _, line in stream["values"]))' \
        "$1" <dashboards/streamrec.json
}
loopback_only() { ! docker compose ps --format '{{.Ports}}' | grep -Eq '(^|, )(0\.0\.0\.0|\[::\]):'; }
is_read_only() { docker inspect -f '{{.HostConfig.ReadonlyRootfs}}' "$(docker compose ps -aq "$1")" | grep -q true; }
restarts() { docker inspect -f '{{.RestartCount}}' "$(docker compose ps -aq "$1")"; }
healthy() { [ "$(docker inspect -f '{{.State.Health.Status}}' "$(docker compose ps -aq "$1")")" = healthy ]; }
killed() {  # a service whose image has no shell: from a container beside it, which sees its processes
    docker run --rm --network none --user 10001 --pid "container:$(docker compose ps -q "$1")" \
        --entrypoint sh mlvitals:local -c 'kill -9 -1'
}
is_running_again() { [ "$(restarts "$1")" -gt "$2" ] && docker compose ps --status running --services | grep -qx "$1"; }
came_back() { [ "$(restarts "$1")" -gt "$2" ] && healthy "$1"; }

running_stack() {
    within "every target is up, by the name of its service" \
        is 'count(up{instance=~"streamrec:8000|exporter:9108"} == 1)' 2
    within "rules are loaded" has_rules
    within "the watchdog fires" is 'count(ALERTS{alertname="MLWatchdog",alertstate="firing"})' 1
    within "an alert arrived in the inbox" inbox_has MLWatchdog
    if [ "${COMPOSE_PROFILES:-}" = logs ]; then
        within "the panel of log lines has what the exporter says" log_panel_tells exporter
        within "the panel of log lines has what the service says" log_panel_tells serving
    fi
    check "Grafana answers" grafana /api/health '"database"'
    check "Grafana has the dashboard" grafana '/api/search?query=ML' '"uid":"streamrec"\|"uid": "streamrec"'
}

say ...  "building and starting (HISTORY_DAYS=$HISTORY_DAYS)"
check "the Compose file is sound" docker compose config --quiet
check "up --wait: every service is healthy" up
running_stack
check "ports are this machine's alone" loopback_only
within "the history is there: measurements of hours ago" rises_above "count(streamrec_drift_psi offset 6h)" 10
within "the history is there: serving counters of hours ago" \
    rises_above "sum(increase(streamrec_predictions_total[1h] offset 6h))" 100
for service in streamrec exporter inbox prometheus alertmanager grafana; do
    check "$service: the root file system is read-only" is_read_only $service
    check "$service: it does not run as root" sh -c "! docker compose exec -T $service sh -c '[ \$(id -u) = 0 ]'"
done

check "mlvitals annotate notes a pipeline change" docker compose exec -T exporter \
    mlvitals annotate pipeline specs/streamrec.yaml user_batch_features --version 42 --author compose_check
within "the change reaches Prometheus" rises_above 'count(streamrec_change_timestamp_seconds{kind="pipeline"})' 0

within "what was just started has been scraped long enough for rates" \
    rises_above 'count(rate(streamrec_predictions_total[1m]))' 0
within "what is recorded every few minutes has been recorded" \
    rises_above 'count(max_over_time(feature_name:streamrec_feature_range_excess:max[1m]))' 10
check "mlvitals verify finds nothing wrong" \
    "${MLVITALS:-mlvitals}" verify specs/streamrec.yaml --prometheus "$prometheus" --slow "${SLOW:-2s}"

for service in streamrec exporter inbox prometheus alertmanager grafana; do
    before=$(restarts $service)
    docker compose exec -T $service sh -c 'kill -9 -1' >/dev/null 2>&1 || :  # the shell goes with it
    within "$service: comes back after SIGKILL" came_back $service "$before"
done
if [ "${COMPOSE_PROFILES:-}" = logs ]; then
    before_loki=$(restarts loki) before_collector=$(restarts collector)
    killed loki >/dev/null 2>&1 || :
    killed collector >/dev/null 2>&1 || :
    within "loki: comes back after SIGKILL" came_back loki "$before_loki"
    within "collector: comes back after SIGKILL" is_running_again collector "$before_collector"
fi
running_stack

docker compose stop prometheus >/dev/null 2>&1
check "without Prometheus the others stay healthy" healthy exporter
check "Grafana answers without Prometheus" grafana /api/health '"database"'
docker compose start prometheus >/dev/null 2>&1
within "Prometheus is back" is 'count(up{instance=~"streamrec:8000|exporter:9108"} == 1)' 2

docker compose exec -T streamrec sh -c 'rm -rf examples/streamrec/data/predictions' >/dev/null 2>&1
docker compose restart exporter >/dev/null 2>&1
within "with an empty prediction log the exporter is healthy" healthy exporter
within "and Prometheus still scrapes it" is 'up{instance="exporter:9108"}' 1

check "down -v" docker compose down -v
check "and up again" up
running_stack

if [ "${1:-}" = --keep ]; then
    say ... "left running; docker compose -p $COMPOSE_PROJECT_NAME down -v ends it"
else
    docker compose down -v >/dev/null 2>&1
fi
exit $failed
