#!/usr/bin/env bash
# Grades one submission in a GitHub job: the step summary, the annotations and the outputs. Always
# ends with 0 when it knows the exit code of feedgrade, so that the report is kept; verdict.sh ends
# the job with it.
set -euo pipefail
program=$HOME/.cache/feedgrade-program/bin/feedgrade
results=$RUNNER_TEMP/feedgrade-results
rm -rf "$results"
mkdir -p "$results"

arguments=(--color never)
[ -z "$CONTENT" ] || arguments+=("--content=$CONTENT")
arguments+=(check "--database=$DATABASE" "--out=$results"
  "--write=markdown=$results/summary.md" "--write=junit=$results/junit.xml"
  "--write=annotations=$results/annotations.txt" "--write=classroom=$results/classroom.b64")
[ -z "$EXERCISE" ] || arguments+=("--exercise=$EXERCISE")
[ -z "$FAIL_UNDER" ] || arguments+=("--fail-under=$FAIL_UNDER")
[ "$EXIT_ZERO" != true ] || arguments+=(--exit-zero)

# Between these two lines the runner takes nothing for a command, because what the learner's build
# and server say is printed there. Nobody can guess the word that ends it.
token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
printf '::stop-commands::%s\n' "$token"
code=0
"$program" "${arguments[@]}" -- "$SUBMISSION" || code=$?
printf '\n::%s::\n' "$token"

# The learner's code ran as the user of this job and may have found these files.
: >"$GITHUB_ENV"
: >"$GITHUB_PATH"
: >"$GITHUB_OUTPUT"
: >"$GITHUB_STEP_SUMMARY"

# A line of the report that begins with two blanks is the report's own: what learners wrote stands
# deeper, and in JSON no text has a line end.
field() { sed -n "s/^  \"$1\": \"\{0,1\}\([a-z0-9]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$results/report.json" | head -n 1; }
outcome=ungraded points='' max_points=''
if [ -f "$results/report.json" ]; then
  outcome=$(field outcome)
  max_points=$(field max_points)
  # Without a grade there are no points, and above all no zero.
  [ "$outcome" = ungraded ] || points=$(field points)
  cat "$results/summary.md" >>"$GITHUB_STEP_SUMMARY"
  cat "$results/annotations.txt"
else
  printf '### Not graded\n\nThis is no zero. The log of the step says why.\n' >>"$GITHUB_STEP_SUMMARY"
  printf '::error title=Not graded::This is no zero. The log of this step says why.\n'
fi
{
  printf 'code=%s\n' "$code"
  printf 'outcome=%s\n' "$outcome"
  printf 'points=%s\n' "$points"
  printf 'max-points=%s\n' "$max_points"
  printf 'results=%s\n' "$results"
  printf 'result=%s\n' "$(tr -d '\n' <"$results/classroom.b64" 2>/dev/null || true)"
} >>"$GITHUB_OUTPUT"
