# What scripts need to know of the Debian machine that they run on. Read with `.`; POSIX sh.

# Whether packages of Debian can be had here.
is_debian() {
    [ "$(. /etc/os-release 2>/dev/null && echo "${ID-}")" = debian ] &&
        command -v apt-get >/dev/null && command -v dpkg >/dev/null && [ -n "$(debian_mirror)" ]
}

# The mirror that this machine's apt is configured to use.
debian_mirror() {
    if [ -f /etc/apt/sources.list.d/debian.sources ]; then
        awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources
    else
        awk '$1 == "deb" {for (i = 2; i <= NF; i++) if ($i ~ /^https?:/) {print $i; exit}}' /etc/apt/sources.list
    fi
}
