#!/bin/bash
# A private Docker engine for the tests, and the Postgres image in it. To be sourced:
#
#   . .ci/docker-engine.sh
#   docker_engine_start     installs Debian's engine if there is none, starts it, builds the image,
#                           and exports DOCKER_HOST
#   docker_engine_stop      stops it by its own process id and removes its data
#
# Or to be run, for a person at a terminal: `.ci/docker-engine.sh COMMAND…` runs one command with it.
#
# The engine listens on a socket of its own and leaves the machine's firewall alone; published ports
# go through its userland proxy. It needs root, as every engine does that is not rootless.

docker_engine_say() { echo "docker-engine: $*" >&2; }

docker_engine_start() {
    local missing=() program
    for program in dockerd:docker.io docker:docker.io busybox:busybox-static; do
        command -v "${program%%:*}" >/dev/null || missing+=("${program#*:}")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        docker_engine_say "install ${missing[*]}"
        apt-get update -q >&2 && apt-get install -y -q --no-install-recommends "${missing[@]}" >&2 || return 1
    fi
    DOCKER_ENGINE=$(mktemp -d "${TMPDIR:-/tmp}/docker-engine.XXXXXX") || return 1
    export DOCKER_HOST=unix://$DOCKER_ENGINE/docker.sock
    docker_engine_say "start dockerd in $DOCKER_ENGINE"
    setsid nohup dockerd --iptables=false --ip6tables=false --ip-masq=false --ip-forward=false \
        --ip 127.0.0.1 --data-root "$DOCKER_ENGINE/data" --exec-root "$DOCKER_ENGINE/exec" \
        --pidfile "$DOCKER_ENGINE/pid" -H "$DOCKER_HOST" \
        >"$DOCKER_ENGINE/log" 2>&1 </dev/null &
    local tries=0
    until docker version >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ $tries -gt 150 ]; then
            docker_engine_say "it does not answer:"
            tail -n 20 "$DOCKER_ENGINE/log" >&2
            docker_engine_stop
            return 1
        fi
        sleep 0.2
    done
    docker_engine_say "build the image postgres:15 from this machine's PostgreSQL 15"
    "$(dirname "${BASH_SOURCE[0]}")/../docker/build-postgres-image.sh" postgres:15 >&2
}

docker_engine_stop() {
    [ -n "${DOCKER_ENGINE:-}" ] || return 0
    local pid tries=0
    pid=$(cat "$DOCKER_ENGINE/pid" 2>/dev/null)
    if [ -n "$pid" ]; then
        docker_engine_say "stop dockerd ($pid)"
        kill -TERM "$pid" 2>/dev/null
        while kill -0 "$pid" 2>/dev/null && [ $tries -lt 150 ]; do
            tries=$((tries + 1))
            sleep 0.2
        done
    fi
    rm -rf "$DOCKER_ENGINE"
    unset DOCKER_ENGINE DOCKER_HOST
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    [ $# -gt 0 ] || { echo "usage: $0 COMMAND..." >&2; exit 2; }
    trap docker_engine_stop EXIT
    docker_engine_start || exit 1
    "$@"
fi
