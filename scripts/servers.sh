#!/bin/sh
# Unpack the servers that the demo and the tests use from Debian's packages into .cache.
#
# usage: scripts/servers.sh [stable|sid|postgres]
#
# stable:   whatever of Prometheus, Alertmanager, the Pushgateway, node_exporter and their tools is not on PATH, from
#           this machine's own release, into .cache/servers.
# sid:      Prometheus 3 and the newest Alertmanager, into .cache/servers-sid, whatever is on PATH.
# postgres: PostgreSQL of this machine's own release and the libraries that it needs and are not installed, into
#           .cache/servers-postgres.
# Nothing is installed: no root, no service started; apt works on private folders below .cache with this machine's own
# mirror. Where that is not possible the script says so and ends with 0: the tests that need a server then say loudly
# that they did not run.
set -u
release=${1:-stable}
cd "$(dirname "$0")/.." || exit 1
cache=$PWD/.cache
case $release in
stable)
    target=$cache/servers
    packages=
    { command -v prometheus && command -v promtool; } >/dev/null || packages="prometheus"
    { { command -v alertmanager || command -v prometheus-alertmanager; } && command -v amtool; } >/dev/null ||
        packages="$packages prometheus-alertmanager"
    { command -v pushgateway || command -v prometheus-pushgateway; } >/dev/null ||
        packages="$packages prometheus-pushgateway"
    { command -v node_exporter || command -v prometheus-node-exporter; } >/dev/null ||
        packages="$packages prometheus-node-exporter" ;;
sid)
    target=$cache/servers-sid
    packages="prometheus promtool prometheus-alertmanager" ;;
postgres)
    target=$cache/servers-postgres
    packages="postgresql"
    for program in $(command -v postgres) /usr/lib/postgresql/*/bin/postgres; do
        [ -x "$program" ] && packages=
    done ;;
*)
    echo "usage: scripts/servers.sh [stable|sid|postgres]" >&2
    exit 2 ;;
esac
[ -z "$packages" ] && exit 0
[ "$(cat "$target/.complete" 2>/dev/null)" = "$packages" ] && exit 0
wanted=$packages

needed="servers of Debian $release"
[ "$release" = postgres ] && needed=PostgreSQL
unavailable() {
    echo "servers.sh: $1; tests that need $needed will not run" >&2
    exit 0
}

command -v apt-get >/dev/null && command -v dpkg >/dev/null || unavailable "this is no Debian machine"
private=$cache/apt-$release
mkdir -p "$private/lists/partial" "$private/archives/partial" "$private/debs" "$target"
. /etc/os-release
if [ -f /etc/apt/sources.list.d/debian.sources ]; then
    mirror=$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources)
else
    mirror=$(awk '$1 == "deb" {for (i = 2; i <= NF; i++) if ($i ~ /^https?:/) {print $i; exit}}' /etc/apt/sources.list)
fi
[ -n "$mirror" ] || unavailable "no Debian mirror is configured"
suite=${VERSION_CODENAME:-stable}
[ "$release" = sid ] && suite=sid
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" > "$private/sources.list"

private_apt() {
    apt-get -qq -o Dir::Etc::SourceList="$private/sources.list" -o Dir::Etc::SourceParts=- \
        -o Dir::State::Lists="$private/lists" -o Dir::Cache="$private" -o Dir::Cache::Archives="$private/archives" \
        -o APT::Sandbox::User="" -o APT::Default-Release="" "$@"
}

echo "servers.sh: fetching$(printf ' %s' $packages) from Debian $suite" >&2
private_apt update || unavailable "the package list could not be read"
if [ "$release" = postgres ]; then
    # The package names its server by version and needs libraries: everything that installing it would bring.
    packages=$(private_apt --simulate --no-install-recommends install postgresql | awk '$1 == "Inst" {print $2}')
    [ -n "$packages" ] || unavailable "its packages could not be told"
fi
(cd "$private/debs" && private_apt download $packages) || unavailable "the packages could not be fetched"
for deb in "$private"/debs/*.deb; do
    dpkg -x "$deb" "$target" || unavailable "a package could not be unpacked"
done
[ -e "$target/usr/bin/prometheus-alertmanager" ] && ln -sf prometheus-alertmanager "$target/usr/bin/alertmanager"
echo "$wanted" > "$target/.complete"
