#!/bin/sh
# Put the stack's secrets where Alertmanager and Grafana read them, each in a volume of its own.
#
# A file of ./secrets (mounted at /given) is taken where it is there and not empty. Else a web hook leads to the inbox,
# and Grafana's password is $GRAFANA_ADMIN_PASSWORD, the one generated before, or a new one.
set -eu
umask 022
given=/given alertmanager=/secrets/alertmanager grafana=/secrets/grafana

usable() {
    [ -e "$given/$1" ] || return 1
    [ -r "$given/$1" ] || { echo "secrets/$1 cannot be read by user $(id -u) (chmod o+r); going on without it" >&2; return 1; }
    [ -s "$given/$1" ] || { echo "secrets/$1 is empty; going on without it" >&2; return 1; }
}

put() {  # name, what stands in for it
    if usable "$1"; then
        cp "$given/$1" "$alertmanager/$1"
        echo "$1: yours, from secrets/$1"
    else
        printf %s "$2" > "$alertmanager/$1"
        echo "$1: none in secrets/, notifications go to the inbox"
    fi
}

put slack_webhook http://inbox:9110/slack
put pagerduty_routing_key inbox

password=$grafana/admin_password
if [ -n "${GRAFANA_ADMIN_PASSWORD:-}" ]; then
    printf %s "$GRAFANA_ADMIN_PASSWORD" > "$password"
    echo "Grafana: the password of GRAFANA_ADMIN_PASSWORD"
elif usable grafana_admin_password; then
    tr -d '\n' < "$given/grafana_admin_password" > "$password"
    echo "Grafana: the password of secrets/grafana_admin_password"
elif [ -s "$password" ]; then
    echo "Grafana: the password generated before"
else
    python -c "import secrets; print(secrets.token_urlsafe(24), end='')" > "$password"
    echo "Grafana: a password was generated; docker compose exec grafana cat /run/secrets/admin_password"
fi
