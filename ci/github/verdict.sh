#!/usr/bin/env bash
# Ends the job with feedgrade's exit code, and says what it means.
set -euo pipefail
case ${CODE:-} in
  0) echo "Graded, and the pass mark is reached." ;;
  1) echo "Graded, and not passed yet: the summary of this run says what to look at next." ;;
  2) echo "Nothing was graded: an argument, the submission's folder or the exercise is wrong." ;;
  3) echo "Not graded: the machine failed. This is no zero. Run the job once more." ;;
  *) echo "Not graded: feedgrade did not end by itself. This is no zero." ;;
esac
exit "${CODE:-3}"
