#!/usr/bin/env bash
#SBATCH --job-name=feedgrade
#SBATCH --array=1-4
#SBATCH --exclusive
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
# Grades one part of a class on each node of a Slurm array:
#
#   job=$(sbatch --parsable ci/slurm.sh SUBMISSIONS RESULTS)
#   sbatch --dependency=afterany:$job --wrap "feedgrade merge RESULTS/part-* --out RESULTS/class"
#
# Both folders are seen by every node. `--exclusive`, because load needs its node alone. Started again,
# it goes on where it was.
set -euo pipefail
[ $# -eq 2 ] || { sed -n 's/^#   //p' "$0" >&2; exit 2; }
submissions=$1 results=$2
# Databases and builds belong on the node's own disk.
local=${SLURM_TMPDIR:-${TMPDIR:-/tmp}}
export FEEDGRADE_SCRATCH=${FEEDGRADE_SCRATCH:-$local/feedgrade-$(id -u)-scratch}
export FEEDGRADE_CACHE=${FEEDGRADE_CACHE:-$local/feedgrade-$(id -u)-cache}
mkdir -p "$results" "$FEEDGRADE_SCRATCH" "$FEEDGRADE_CACHE"
exec feedgrade batch "$submissions" --database local --exit-zero --failed \
  --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" \
  --out "$results/part-$SLURM_ARRAY_TASK_ID"
