#!/bin/sh
# Load the past that history.sh left into Prometheus' data directory, before Prometheus starts.
#
# What rules leave is computed by a Prometheus of this container alone, level by level: a level reads only what the
# levels before it recorded, and alerts come last. Done once, and begun anew where it was interrupted.
set -eu
data=/prometheus marker=/prometheus/.history-loaded
[ -e $marker ] && { echo "the history is loaded already"; exit 0; }
rm -rf "${data:?}"/*
{ read -r begin; read -r end; } < /history/span

load() {
    echo "loading $1"
    promtool tsdb create-blocks-from --max-block-duration=10d --quiet openmetrics "$1" $data
}

for file in /history/*.om; do load "$file"; done

echo 'global: {}' > /tmp/prometheus.yml
for rules in /history/records/*.yml; do
    [ -e "$rules" ] || break
    echo "recording $rules"
    prometheus --config.file=/tmp/prometheus.yml --storage.tsdb.path=$data --storage.tsdb.retention.time=10y \
        --web.listen-address=127.0.0.1:9090 --log.level=warn &
    server=$!
    until python -c 'import urllib.request; urllib.request.urlopen("http://127.0.0.1:9090/-/ready")' 2>/dev/null; do
        kill -0 $server || exit 1
        sleep 1
    done
    python -m examples.streamrec record "$rules" --prometheus http://127.0.0.1:9090 --begin "$begin" --end "$end" \
        --out $data/records.om
    kill $server
    wait $server || true
    load $data/records.om
    rm $data/records.om
done
touch $marker
