#!/bin/sh
# Unpack the servers that the demo and the tests use from Debian's packages into .cache.
#
# usage: scripts/servers.sh [stable|sid|postgres|faketime|possible]
#
# stable:   whatever of Prometheus, Alertmanager, the Pushgateway, node_exporter and their tools is not on PATH, from
#           this machine's own release, into .cache/servers.
# sid:      Prometheus 3 and the newest Alertmanager, into .cache/servers-sid, whatever is on PATH.
# postgres: PostgreSQL of this machine's own release, into .cache/servers-postgres, if it is not installed.
# faketime: libfaketime, with which the fault suite sets the clock of single processes, into .cache/servers-faketime.
# possible: ends with 0 where this machine can have them, with 1 elsewhere; unpacks nothing.
# Nothing is installed: no root, no service started; apt works on private folders below .cache with this machine's own
# mirror. On a machine that is not Debian the script says so and ends with 0: the tests that need a server then say
# loudly that they did not run. On Debian it ends with 1 where it fails, and so do those tests.
set -u
release=${1:-stable}
cd "$(dirname "$0")/.." || exit 1
. scripts/debian.sh
cache=$PWD/.cache
target=$cache/servers-$release
[ "$release" = stable ] && target=$cache/servers

# Debian's name of a program.
debian_name() { echo "prometheus-$1" | tr _ -; }
on_path() { command -v "$1" >/dev/null || command -v "$(debian_name "$1")" >/dev/null; }

programs= # what has to be there in the end, whichever package of a release brings it
packages=
case $release in
stable)
    for program in prometheus promtool alertmanager amtool pushgateway node_exporter; do
        on_path "$program" || programs="$programs $program"
    done
    case $programs in *prom*) packages="$packages prometheus" ;; esac
    case $programs in *alertmanager* | *amtool*) packages="$packages prometheus-alertmanager" ;; esac
    case $programs in *pushgateway*) packages="$packages prometheus-pushgateway" ;; esac
    case $programs in *node_exporter*) packages="$packages prometheus-node-exporter" ;; esac ;;
sid)
    programs="prometheus promtool alertmanager amtool"
    packages="prometheus promtool prometheus-alertmanager" ;;
postgres)
    ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || on_path postgres || packages=postgresql ;;
faketime)
    packages=libfaketime ;;
possible)
    is_debian
    exit ;;
*)
    echo "usage: scripts/servers.sh [stable|sid|postgres|faketime|possible]" >&2
    exit 2 ;;
esac
[ -z "$packages" ] && exit 0
wanted="$packages, as of $(cksum < scripts/servers.sh)"
[ "$(cat "$target/.complete" 2>/dev/null)" = "$wanted" ] && exit 0

needed="servers of Debian $release"
[ "$release" = postgres ] && needed=PostgreSQL
[ "$release" = faketime ] && needed=libfaketime
is_debian || {
    echo "servers.sh: this is no Debian machine with a mirror; tests that need $needed will not run" >&2
    exit 0
}
failed() {
    echo "servers.sh: no $needed: $1" >&2
    exit 1
}

private=$cache/apt-$release
rm -rf "$target" "$private"
mkdir -p "$private/lists/partial" "$private/archives/partial" "$private/debs" "$target"
suite=sid
[ "$release" = sid ] || suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keyring] $(debian_mirror) $suite main" > "$private/sources.list"

private_apt() {
    apt-get -qq -o Dir::Etc::SourceList="$private/sources.list" -o Dir::Etc::SourceParts=- \
        -o Dir::State::Lists="$private/lists" -o Dir::Cache="$private" -o Dir::Cache::Archives="$private/archives" \
        -o APT::Sandbox::User="" -o APT::Default-Release="" -o Acquire::Retries=3 "$@"
}

echo "servers.sh: fetching$(printf ' %s' $packages) from Debian $suite" >&2
private_apt update || failed "the package list could not be read"
# With this machine's own release, everything that installing them would bring: promtool is a package of its own in some
# releases, PostgreSQL names its server by version, and both need libraries. What sid would bring is not meant for here.
[ "$release" = sid ] ||
    packages=$(private_apt --simulate --no-install-recommends install $packages | awk '$1 == "Inst" {print $2}')
[ -n "$packages" ] || failed "its packages could not be determined"
(cd "$private/debs" && private_apt download $packages) || failed "the packages could not be fetched"
for deb in "$private"/debs/*.deb; do
    dpkg -x "$deb" "$target" || failed "$deb could not be unpacked"
done
for folder in /usr/share/javascript/*; do # what their pages use and this machine has was not fetched
    [ ! -d "$folder" ] || [ -e "$target$folder" ] || { mkdir -p "$target/usr/share/javascript" && ln -s "$folder" "$target$folder"; }
done
for program in $programs; do
    [ -x "$target/usr/bin/$program" ] || [ -x "$target/usr/bin/$(debian_name "$program")" ] ||
        failed "Debian $suite has no $program in$(printf ' %s' $packages)"
done

# Debian's servers have the place of their templates and pages built in (/usr/share/prometheus); some end at once where
# it is missing. No option moves it, and only root could put something there. So each such program is made to look below
# its descriptor 9 instead, a path of the same length, and is started by a script that opens its folder there.
installed=/usr/share/prometheus
as_unpacked=/dev/fd/9////////////
for program in "$target"/usr/bin/*; do
    [ -f "$program" ] || continue # libfaketime brings none
    grep -q "$installed" "$program" || continue
    name=${program##*/}
    mkdir -p "$target/usr/libexec"
    LC_ALL=C sed "s#$installed#$as_unpacked#g" "$program" > "$target/usr/libexec/$name" && chmod +x "$target/usr/libexec/$name" ||
        failed "$name could not be made to run where it was unpacked"
    cat > "$program" <<'SCRIPT'
#!/bin/sh
program=$(readlink -f "$0")
usr=${program%/bin/*}
exec 9< "$usr/share/prometheus"
exec "$usr/libexec/${program##*/}" "$@"
SCRIPT
done
rm -rf "$private"
echo "$wanted" > "$target/.complete"
