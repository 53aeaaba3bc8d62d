#!/bin/sh
# Simulate StreamRec's past, measure it as the exporter does, and leave it in /history for load_history.sh.
#
# Done once: what is complete is not made again. HISTORY_DAYS: how long the past is. MARCH3: START:SHARE of an incident.
set -eu
[ -e /history/complete ] && { echo "the history is there already"; exit 0; }
spec=specs/streamrec.yaml data=examples/streamrec/data
rm -rf /history/* "$data"/* var/*
now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
# The newest window is left to the exporter, which then has a run of its own to tell of.
measured=$(date -u -d "$now - 65 minutes" +%Y-%m-%dT%H:%M:%SZ)
begin=$(date -u -d "$now - ${HISTORY_DAYS:-30} days" +%Y-%m-%dT%H:00:00Z)

python -m examples.streamrec history --days "${HISTORY_DAYS:-30}" --end "$now" --begun-hour --out "$data" \
    ${MARCH3:+--march3 "$MARCH3"}
mlvitals reference build "$spec" --data "$data/training" --promote
mlvitals backfill "$spec" --start "$begin" --end "$measured" --save --instance exporter:9108 --openmetrics /history/measured.om
python -m examples.streamrec past "$spec" --begin "$begin" --end "$now" --out /history \
    --serving-instance streamrec:8000 --exporter-instance exporter:9108
python -m examples.streamrec records "$spec" --out /history/records
printf '%s\n%s\n' "$begin" "$now" > /history/span
touch /history/complete
