#!/usr/bin/env bash
# Prepares Gradescope's image: Postgres, Rust, feedgrade, an account for the learner's code, and one
# graded starter. That compiles the dependencies, so that no learner waits for them, and an image that
# cannot grade is not built at all. Missing programs come from the image's own packages.
#
# For tests: FEEDGRADE_ROOT is put before every path, FEEDGRADE_ACCOUNT= makes no account.
set -euo pipefail
source=$(cd "$(dirname "$0")" && pwd)
root=${FEEDGRADE_ROOT:-}
account=${FEEDGRADE_ACCOUNT-learner}
export DEBIAN_FRONTEND=noninteractive

postgres_version() {
  local programs
  for programs in /usr/lib/postgresql/*/bin/initdb "$(command -v initdb || true)"; do
    [ ! -x "$programs" ] || "$programs" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/'
  done | sort -n | tail -n 1
}

missing=()
[ -n "$(postgres_version)" ] || missing+=(postgresql)
command -v cc >/dev/null || missing+=(build-essential)
command -v unshare >/dev/null || missing+=(util-linux)
if ! command -v cargo >/dev/null; then
  export RUSTUP_HOME=$root/usr/local/rustup CARGO_HOME=$root/usr/local/cargo
  missing+=(rustup)
fi
if [ ${#missing[@]} -gt 0 ]; then
  apt-get update -q
  apt-get install -y -q --no-install-recommends "${missing[@]}"
fi
if [ "$(postgres_version)" -lt 15 ]; then
  echo "this image has PostgreSQL $(postgres_version), and feedgrade needs 15: choose a newer base image" >&2
  exit 1
fi
command -v cargo >/dev/null || rustup toolchain install stable --profile minimal

bin=$root/usr/local/bin
mkdir -p "$bin" "$root/var/cache/feedgrade"
if [ -x "$source/feedgrade" ]; then
  install -m 755 "$source/feedgrade" "$bin/feedgrade"
else
  cargo install --path "$source/feedgrade-source" --locked --root "$root/usr/local"
  # The reference solution is in it, and learners' code runs here.
  rm -rf "$source/feedgrade-source"
fi

# The learner's code runs under an account of its own: it can write neither the results nor this.
if [ -n "$account" ]; then
  id "$account" >/dev/null 2>&1 || useradd --create-home --shell /usr/sbin/nologin "$account"
  chown "$account" "$root/var/cache/feedgrade"
fi

trial=$(mktemp -d)
trap 'rm -rf "$trial"' EXIT
chmod 755 "$trial"
mkdir -p "$trial/submission" "$trial/source"
[ ! -d "$source/content" ] || cp -R "$source/content" "$trial/source/"
content=()
[ ! -d "$source/content" ] || content=(--content "$source/content")
"$bin/feedgrade" "${content[@]}" new "$trial/submission/starter"
AUTOGRADER_ROOT=$trial bash "$source/run_autograder"
if ! grep -q '"tests"' "$trial/results/results.json"; then
  cat "$trial/results/results.json" >&2
  echo "feedgrade does not work in this image" >&2
  exit 1
fi
