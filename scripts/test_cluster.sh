#!/usr/bin/env bash
# The tests on a cluster, in four processes: those that wait for Kubernetes beside those that compute.
#
#   scripts/test_cluster.sh PYTEST [ARGUMENT ...]      the output of each is in out/test-cluster, and told in the end
#
# SUTI_BUILD=1          build the images first, of this tree and of the earlier release; their time is in the total
# SUTI_EARLIER=COMMIT   the release to upgrade from; unset: the first one, if scripts/earlier_images.sh has built its images
set -uo pipefail
cd "$(dirname "$0")/.."
pytest=$1; shift
out=out/test-cluster; mkdir -p "$out"
readonly FIRST=943e53f # the first commit whose release did what these tests want (CHANGELOG.md)
began=$SECONDS
if [[ -n "${SUTI_BUILD:-}" ]]; then
  TAG=${SUTI_IMAGE_TAG:-} scripts/images.sh && scripts/earlier_images.sh "${SUTI_EARLIER:-$FIRST}" || exit 1
  echo "== images built: $((SECONDS - began)) s"
fi
if [[ -z "${SUTI_EARLIER:-}" ]]; then
  for ask in "docker image inspect" "podman image inspect" "buildah inspect --type image"; do
    # shellcheck disable=SC2086 - words
    ! $ask "localhost/suti-models:$FIRST" >/dev/null 2>&1 || export SUTI_EARLIER=$FIRST
  done
  [[ -n "${SUTI_EARLIER:-}" ]] || echo "== not shown: the upgrade from $FIRST, whose images are not built (SUTI_BUILD=1 builds them)"
fi
export SUTI_IMAGES_LOADED; SUTI_IMAGES_LOADED=$(mktemp -d) # what one has handed to the nodes, the others need not
elsewhere=tests/cluster/release/elsewhere
declare -A PARTS=(
  [jobs]="tests/cluster --ignore tests/cluster/release"
  [release]="tests/cluster/release --ignore $elsewhere"
  [elsewhere]="$elsewhere --ignore $elsewhere/test_bad_input.py"
  [bad-input]="$elsewhere/test_bad_input.py"
)
declare -A RUNNING
for part in "${!PARTS[@]}"; do
  # shellcheck disable=SC2086 - words
  "$pytest" ${PARTS[$part]} --durations=20 --durations-min=5 "$@" > "$out/$part.log" 2>&1 &
  RUNNING[$part]=$!
done
trap 'kill "${RUNNING[@]}" 2>/dev/null; wait; rm -rf "$SUTI_IMAGES_LOADED"' EXIT
failed=0
for part in "${!RUNNING[@]}"; do
  wait "${RUNNING[$part]}"; code=$?
  [[ $code -eq 0 || $code -eq 5 ]] || failed=1 # 5: the arguments left none of this part
  echo "== $part"; cat "$out/$part.log"
done
echo "== all of it: $((SECONDS - began)) s"
exit $failed
