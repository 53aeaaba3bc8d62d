#!/bin/sh
# Load the past that history.sh left into Prometheus' data directory, before Prometheus starts.
#
# Recorded series are computed by a Prometheus of this container alone, level by level: a level reads only what the
# levels before it recorded. Done once, and begun anew where it was interrupted.
set -eu
data=/prometheus marker=/prometheus/.history-loaded
[ -e $marker ] && { echo "the history is loaded already"; exit 0; }
rm -rf "${data:?}"/*
{ read -r begin; read -r end; } < /history/span

for file in /history/*.om; do
    echo "loading $file"
    promtool tsdb create-blocks-from --max-block-duration=10d --quiet openmetrics "$file" $data
done

echo 'global: {}' > /tmp/prometheus.yml
for rules in /history/records/*.yml; do
    [ -e "$rules" ] || break
    echo "recording $rules"
    prometheus --config.file=/tmp/prometheus.yml --storage.tsdb.path=$data --storage.tsdb.retention.time=10y \
        --web.listen-address=127.0.0.1:9090 --log.level=warn &
    server=$!
    until wget -q -O /dev/null http://127.0.0.1:9090/-/ready; do
        kill -0 $server || exit 1
        sleep 1
    done
    promtool tsdb create-blocks-from rules --quiet --start="$begin" --end="$end" --eval-interval=1m \
        --output-dir=$data "$rules"
    kill $server
    wait $server || true
done
touch $marker
