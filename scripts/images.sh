#!/usr/bin/env bash
# Builds Suti's three images, says how large they are and what each can import, and with a registry pushes them.
#
#   scripts/images.sh [NAME ...]     NAME: light, grouping, models; all if none is given
#
# TAG=0.1.0             their tag; unset: the version in pyproject.toml, which is the chart's default
# RAY=1                 the grouping image can hand its work to a Ray cluster, and is larger for it
# REGISTRY=…            push there (as IMAGES are named, `localhost` is none); unset: localhost, nothing is pushed
# IMAGE_TOOL="docker"   docker, podman or buildah; unset: the first of them that is there
# IMAGE_FLAGS="…"       more flags for the build
set -euo pipefail
cd "$(dirname "$0")/.."

declare -A EXTRAS=(
  [light]=pipeline,experts-launcher,apprentice-launcher,store-admin
  [grouping]=clustering
  [models]=captioning,clustering-score,experts,filtering,apprentice,generation
)
declare -A LARGEST_MB=([light]=400 [grouping]=600 [models]=5600)
# What must be importable in each, and what must not be inside.
declare -A HAS=(
  [light]="suti_pipeline.__main__ suti_experts.__main__ suti_apprentice.__main__ suti.infra.bootstrap suti.infra.jobs.kubernetes.backend pyarrow.dataset minio"
  [grouping]="suti_clustering.__main__ suti.ml.clusters.program daft imagehash scipy.fftpack"
  [models]="suti_clustering.__main__ suti_captioning.__main__ suti_filtering.__main__ suti_generation.__main__ suti_experts.job suti_apprentice.job suti.cli.main suti.cli.run torch diffusers peft"
)
declare -A LACKS=([light]="torch diffusers daft numpy" [grouping]="torch diffusers kubernetes minio" [models]="kubernetes minio triton")
if [[ -n "${RAY:-}" ]]; then
  EXTRAS[grouping]=clustering-ray LARGEST_MB[grouping]=1200 HAS[grouping]+=" ray"
fi
readonly TORCH_COPIES_GB=12 # the layer in the builder's store, once more while it is committed

die() { echo "images: $*" >&2; exit 1; }
tool=${IMAGE_TOOL:-}
for candidate in docker podman buildah; do # one that answers: a docker without its daemon builds nothing
  [[ -n "$tool" ]] || ! "$candidate" info >/dev/null 2>&1 || tool=$candidate
done
[[ -n "$tool" ]] || die "there is no docker, podman or buildah that answers: start one, or name it in IMAGE_TOOL"
tag=${TAG:-$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)}
registry=${REGISTRY:-localhost}
read -ra flags <<<"${IMAGE_FLAGS:-}"

build() { # build NAME IMAGE
  local arguments=(--build-arg "EXTRAS=${EXTRAS[$1]}" --build-arg "VERSION=$tag" --build-arg "REVISION=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)" -t "$2")
  case $tool in
    buildah) buildah bud --layers "${flags[@]}" "${arguments[@]}" . ;;
    *) "$tool" build "${flags[@]}" "${arguments[@]}" . ;;
  esac
}

size_mb() {
  case $tool in
    buildah) local mounted from; from=$(buildah from --pull-never "$1"); mounted=$(buildah mount "$from"); du -sm --apparent-size "$mounted" | cut -f1; buildah rm "$from" >/dev/null ;;
    *) echo $(($("$tool" image inspect -f '{{.Size}}' "$1") / 1000000)) ;;
  esac
}

labels() { # labels IMAGE: its labels, as JSON or as a map in text
  case $tool in
    buildah) buildah inspect --type image --format '{{.OCIv1.Config.Labels}}' "$1" ;;
    *) "$tool" image inspect -f '{{.Config.Labels}}' "$1" ;;
  esac
}

inside() { # inside IMAGE PROGRAM: what Python says in it, as its own user (buildah cannot keep the network from it without root)
  case $tool in
    buildah) local from; from=$(buildah from --pull-never "$1"); buildah run --isolation chroot "$from" -- python -c "$2" || { buildah rm "$from" >/dev/null; return 1; }; buildah rm "$from" >/dev/null ;;
    *) "$tool" run --rm --network none --read-only --tmpfs /tmp "$1" -c "$2" ;;
  esac
}

check() { # check NAME IMAGE
  local size; size=$(size_mb "$2")
  [[ $size -le ${LARGEST_MB[$1]} ]] || die "$2 has $size MB, more than ${LARGEST_MB[$1]}: what came in?"
  for label in title description licenses version revision; do
    [[ "$(labels "$2")" == *"org.opencontainers.image.$label"* ]] || die "$2 has no label org.opencontainers.image.$label"
  done
  inside "$2" "
import importlib, importlib.util, os, shutil
assert os.getuid() != 0, 'the image runs as root'
tools = [name for name in 'gcc cc make git pip uv'.split() if shutil.which(name)]
assert not tools, f'{tools} build things, and should not be in an image that runs them'
for name in '${HAS[$1]}'.split(): importlib.import_module(name)
there = [name for name in '${LACKS[$1]}'.split() if importlib.util.find_spec(name)]
assert not there, f'{there} should not be in this image'
" || die "$2 lacks something it needs, or has what it should not (see above)"
  printf '%-44s %6d MB   imports %s; has no %s\n' "$2" "$size" "${HAS[$1]}" "${LACKS[$1]}"
}

names=("$@")
[[ $# -gt 0 ]] || names=(light grouping models)
for name in "${names[@]}"; do
  [[ -n "${EXTRAS[$name]:-}" ]] || die "no image is called $name: light, grouping, models"
  image=$registry/suti-$name:$tag
  if [[ $name == models ]]; then
    built_in=/var/tmp # where buildah works; docker and podman say themselves
    case $tool in
      docker) built_in=$(docker info -f '{{.DockerRootDir}}') ;;
      podman) built_in=$(podman info -f '{{.Store.GraphRoot}}') ;;
    esac
    [[ -d $built_in ]] || built_in=/ # another machine's, as Docker Desktop's
    free=$(df --output=avail -BG "$built_in" | tail -1 | tr -dc 0-9)
    [[ $free -ge $TORCH_COPIES_GB ]] || die "$free GB are free where images are built, the one with torch wants $TORCH_COPIES_GB: make room"
  fi
  build "$name" "$image" >&2
  check "$name" "$image"
  [[ "$registry" == localhost ]] || "$tool" push "$image" >&2
done
