#!/usr/bin/env bash
# Prints where Helm is: $SUTI_HELM, on PATH, or built once with Go and cached.
#
#   scripts/build_helm.sh            builds it if there is none
#   scripts/build_helm.sh --cached   never builds; fails if there is none
set -euo pipefail

readonly VERSION="v3.19.2"
readonly BIN="${XDG_CACHE_HOME:-$HOME/.cache}/suti/bin"
readonly HELM="$BIN/helm-$VERSION"

if [[ -n "${SUTI_HELM:-}" ]]; then echo "$SUTI_HELM"; exit 0; fi
if [[ -x "$HELM" ]]; then echo "$HELM"; exit 0; fi
if found="$(command -v helm)" && "$found" version --short 2>/dev/null | grep -q '^v3\.1[4-9]\|^v4'; then echo "$found"; exit 0; fi

if [[ "${1:-}" == "--cached" ]]; then
  echo "no Helm on PATH or at $HELM: run this script without --cached" >&2
  exit 1
fi
if ! command -v go >/dev/null; then
  echo "there is no Helm on PATH, and no 'go' to build one: install Helm 3 (https://helm.sh), or set SUTI_HELM" >&2
  exit 1
fi

mkdir -p "$BIN"
staging="$(mktemp -d "$BIN/.build.XXXXXX")"
trap 'rm -rf "$staging"' EXIT
echo "building Helm $VERSION (some minutes, once) ..." >&2
GOBIN="$staging" nice -n 5 go install -ldflags '-s -w' "helm.sh/helm/v3/cmd/helm@$VERSION" >&2
mv "$staging/helm" "$HELM"
echo "$HELM"
