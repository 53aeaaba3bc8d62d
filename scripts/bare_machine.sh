#!/bin/bash
# Run a command as on a machine where nothing is installed: a bare Debian with git, make and Python, a fresh clone of
# this repository's HEAD below root's home, and ../shared beside it where there is one. Whatever else this machine has
# (packages, files under /usr/share, unpacked servers, downloads) does not exist there.
#
# usage: scripts/bare_machine.sh [-s SUITE] [-k] COMMAND...
#
#   scripts/bare_machine.sh make test
#   scripts/bare_machine.sh -s trixie make demo    another release of Debian (default: bookworm)
#   scripts/bare_machine.sh -k make demo           keep the root, to look around
#
# Needs root on a Debian machine that allows overlay mounts and namespaces; where it cannot run, it says why and ends
# with 69. The bare root is built once, under /var/tmp; each run has a layer of its own over it and a process namespace
# of its own: nothing outlives it.
set -euo pipefail

suite=bookworm keep=
while getopts s:k option; do
    case $option in s) suite=$OPTARG ;; k) keep=yes ;; *) exit 2 ;; esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2; }

repository=$(cd "$(dirname "$0")/.." && pwd)
. "$repository/scripts/debian.sh"
cannot() { echo "bare_machine.sh: $1" >&2; exit 69; }
[ "$(id -u)" = 0 ] || cannot "needs root"
is_debian || cannot "needs a Debian machine with a mirror"

# ---------------------------------------------------------------- the bare root

base=/var/tmp/mlvitals-bare-$suite
build() {
    command -v debootstrap || { apt-get update -qq && apt-get install -y -qq --no-install-recommends debootstrap; } || return
    local recipe=/usr/share/debootstrap/scripts/$suite
    [ -e "$recipe" ] || recipe=/usr/share/debootstrap/scripts/sid # a release newer than this machine's debootstrap
    rm -rf "$base"
    debootstrap --variant=minbase --include=ca-certificates,git,make,python3,python3-venv \
        "$suite" "$base" "$(debian_mirror)" "$recipe" && touch "$base/.complete"
}
exec 8> "$base.lock" && flock 8
if [ ! -e "$base/.complete" ]; then
    echo "bare_machine.sh: building a bare Debian $suite in $base" >&2
    build > "$base.log" 2>&1 || cannot "debootstrap failed, see $base.log: $(tail -n 1 "$base.log")"
fi
exec 8>&-

# ---------------------------------------------------------------- this run's layer

run=$(mktemp -d /var/tmp/mlvitals-run.XXXXXX)
root=$run/root
clean_up() {
    if [ -n "$keep" ]; then
        echo "bare_machine.sh: kept in $root; when done: umount -Rq $root; umount -q $run; rm -rf $run" >&2
    else
        umount -Rq "$root" || true
        umount -q "$run" || true
        rm -rf --one-file-system "$run"
    fi
}
trap clean_up EXIT
lay() {
    mkdir -p "$run/upper" "$run/work" "$root"
    mount -t overlay overlay -o "lowerdir=$base,upperdir=$run/upper,workdir=$run/work$1" "$root" 2>/dev/null
}
# What is written is thrown away: nobody has to wait for the disk. Where the disk is a layer itself, memory serves.
lay ,volatile || { mount -t tmpfs tmpfs "$run" 2>/dev/null && lay ""; } || cannot "overlay mounts are not allowed here"

project=/root/work/project # root's home is closed to others, as many people's is
mkdir -p "$root/root/work"
chmod 700 "$root/root"
GIT_CONFIG_GLOBAL=$run/gitconfig git config --file "$run/gitconfig" safe.directory '*' # whoever owns the checkout
GIT_CONFIG_GLOBAL=$run/gitconfig git clone --quiet --no-hardlinks "$repository" "$root$project"
[ -z "$(GIT_CONFIG_GLOBAL=$run/gitconfig git -C "$repository" status --porcelain)" ] ||
    echo "bare_machine.sh: changes that are not committed are left out" >&2
if [ -d "$repository/../shared" ]; then
    cp -rL "$repository/../shared" "$root/root/work/shared"
fi

# How this machine reaches its mirrors, and nothing else of it.
copy() { mkdir -p "$root$(dirname "$1")" && cp -rL "$1" "$root$(dirname "$1")/"; }
for file in /etc/resolv.conf /etc/ssl/certs/ca-certificates.crt /etc/pip.conf /etc/xdg/pip; do
    [ ! -e "$file" ] || copy "$file"
done
apt-config dump | grep -E '^Acquire::(https?|ftp|Check|Retries)' > "$root/etc/apt/apt.conf.d/mirrors" || true
for folder in $({ pip config list; env; } 2>/dev/null | grep -iE 'find.links|index' | grep -oE "/[^ ']+" | sort -u); do
    [ "${folder##*/}" != simple ] || folder=${folder%/simple} # the index; its files lie beside it
    [ ! -d "$folder" ] || { mkdir -p "$root$folder" && mount --bind -o ro "$folder" "$root$folder"; }
done
variables=(HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 CI=true)
while IFS= read -r line; do
    variables+=("$line")
done < <(env | grep -iE '^(PIP_|SSL_CERT|REQUESTS_CA|CURL_CA|(https?|no)_proxy=)' || true)

# ---------------------------------------------------------------- the command

# Without exec, so that the end is tidied up; --kill-child and the namespace end whatever the command left running.
unshare --mount --pid --fork --kill-child --mount-proc="$root/proc" bash -c '
    root=$1; shift
    mount --rbind /dev "$root/dev" && mount -t sysfs sysfs "$root/sys" &&
    exec chroot "$root" env -i "$@"' _ "$root" "${variables[@]}" sh -c 'cd "$0" && exec "$@"' "$project" "$@"
