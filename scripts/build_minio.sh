#!/usr/bin/env bash
# Builds the MinIO server that the store's contract tests run against, once, and prints where it lies.
#
#   scripts/build_minio.sh            builds it if it is not cached
#   scripts/build_minio.sh --cached   never builds; fails if it is not cached
#
# MinIO is AGPL: a server that is run for tests, never bundled. The binary is cached under
# ${XDG_CACHE_HOME:-~/.cache}/suti/bin; a second call returns at once. Remove the file to build anew.
set -euo pipefail

readonly VERSION="v0.0.0-20250907161309-07c3a429bfed"
readonly BIN="${XDG_CACHE_HOME:-$HOME/.cache}/suti/bin"
readonly SERVER="$BIN/minio-$VERSION"

if [[ -x "$SERVER" ]]; then
  echo "$SERVER"
  exit 0
fi

if [[ "${1:-}" == "--cached" ]]; then
  echo "no MinIO server at $SERVER: run this script without --cached" >&2
  exit 1
fi

if ! command -v go >/dev/null; then
  echo "MinIO is built with Go, and there is no 'go' on PATH: install Go 1.24 or newer (https://go.dev/dl)," >&2
  echo "or set SUTI_MINIO_BIN to a minio server you already have." >&2
  exit 1
fi

mkdir -p "$BIN"
staging="$(mktemp -d "$BIN/.build.XXXXXX")"
trap 'rm -rf "$staging"' EXIT

echo "building MinIO $VERSION (some minutes, once) ..." >&2
GOBIN="$staging" CGO_ENABLED=0 nice -n 15 go install "github.com/minio/minio@$VERSION" >&2
mv "$staging/minio" "$SERVER" # a rename, so two builds at once do no harm
echo "$SERVER"
