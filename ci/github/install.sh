#!/usr/bin/env bash
# Installs feedgrade from the action's own files, unless the cache had it, and puts it on the PATH of
# later steps.
set -euo pipefail
root=$HOME/.cache/feedgrade-program
if "$root/bin/feedgrade" --version 2>/dev/null; then
  echo "feedgrade was in the cache"
else
  # What runners carry can be older than what feedgrade needs.
  wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$GITHUB_ACTION_PATH/Cargo.toml")
  here=$(rustc --version | cut -d ' ' -f 2)
  if [ "$(printf '%s\n%s\n' "$wanted" "$here" | sort -V | head -n 1)" != "$wanted" ]; then
    rustup update --no-self-update stable
    rustup default stable
  fi
  # The working folder is the learner's: a .cargo/config.toml in it must have no say here.
  cd "$GITHUB_ACTION_PATH"
  cargo install --path . --locked --root "$root" --target-dir "$RUNNER_TEMP/feedgrade-target"
  rm -rf "$RUNNER_TEMP/feedgrade-target"
fi
printf '%s\n' "$root/bin" >>"$GITHUB_PATH"
