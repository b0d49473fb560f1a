#!/usr/bin/env bash
# Builds the images of an earlier commit, tagged with it: what tests/cluster/release/elsewhere/test_upgraded.py upgrades from.
#
#   scripts/earlier_images.sh COMMIT      the variables of scripts/images.sh hold, but for TAG
set -euo pipefail
cd "$(dirname "$0")/.."
commit=${1:?name a commit}
folder=$(mktemp -d)
trap 'git worktree remove --force "$folder/tree"; rm -rf "$folder"' EXIT
git worktree add --quiet --detach "$folder/tree" "$commit"
TAG=$commit "$folder/tree/scripts/images.sh"
