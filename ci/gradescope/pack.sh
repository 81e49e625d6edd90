#!/usr/bin/env bash
# Packs an autograder for Gradescope:
#
#   ci/gradescope/pack.sh autograder.zip                      compiles feedgrade when the image is built
#   ci/gradescope/pack.sh autograder.zip --program FILE       with a feedgrade compiled for that image
#   ci/gradescope/pack.sh autograder.zip --content DIR        with a course's own exercises
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
usage() { sed -n 's/^#   //p' "$0" >&2; exit 2; }
[ $# -gt 0 ] || usage
zip=$(realpath -m "$1")
shift
program='' content=''
while [ $# -gt 0 ]; do
  [ $# -gt 1 ] || usage
  case $1 in
    --program) program=$(realpath -e "$2") ;;
    --content) content=$(realpath -e "$2") ;;
    *) usage ;;
  esac
  shift 2
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
install -m 755 "$here/setup.sh" "$here/run_autograder" "$work/"
if [ -n "$program" ]; then
  install -m 755 "$program" "$work/feedgrade"
else
  mkdir "$work/feedgrade-source"
  git -C "$here/../.." archive HEAD | tar -x -C "$work/feedgrade-source"
fi
[ -z "$content" ] || cp -R "$content" "$work/content"
rm -f "$zip"
if command -v zip >/dev/null; then
  (cd "$work" && zip -qr "$zip" .)
else
  (cd "$work" && python3 -m zipfile -c "$zip" ./*)
fi
echo "$zip: upload it as the autograder of an assignment on an image with PostgreSQL 15 or newer"
