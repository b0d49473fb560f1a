#!/usr/bin/env bash
# Makes .venv from nothing but git, make and a Python: finds or installs uv, finds a Python >= 3.12, syncs uv.lock.
# `make install` calls it; a second call takes a second. Knows nothing of the network but what uv and pip know.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly OWN_UV=".cache/uv-tool"
readonly WANTED="3.12 3.13"

say() { printf '%s\n' "$*" >&2; }

# --- uv: on PATH, in ~/.local/bin, or in a small environment of its own (safe under PEP 668) ---------------------------
find_uv() {
  local candidate
  for candidate in "${UV:-}" "$OWN_UV/bin/uv" uv "$HOME/.local/bin/uv" "$HOME/.cargo/bin/uv"; do
    # A pyenv shim may be on PATH for a version that is not active, so ask it to run.
    if [[ -n "$candidate" ]] && "$candidate" --version >/dev/null 2>&1; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

install_uv() {
  say "uv is missing: installing it under $OWN_UV"
  local python
  for python in python3 "$(find_python || true)"; do
    if [[ -n "$python" ]] && "$python" -m venv "$OWN_UV" >/dev/null 2>&1; then
      "$OWN_UV/bin/python" -m pip install --quiet --disable-pip-version-check "uv>=0.9" && return
    fi
  done
  rm -rf "$OWN_UV"
  say "no environment could be made (Debian: apt-get install python3-venv): trying pip install --user"
  python3 -m pip install --quiet --user "uv>=0.9" && return
  say "uv could not be installed: get it as https://docs.astral.sh/uv/ says and call make again"
  return 1
}

# --- Python: what is there already, else in PATH, pyenv, the system; uv's own download is the last resort --------------
fits() { "$1" -c 'import sys; sys.exit(not (3, 12) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1; }

find_python() {
  local version candidate
  if [[ -x .venv/bin/python ]] && fits .venv/bin/python; then
    echo .venv/bin/python
    return
  fi
  for version in $WANTED; do
    for candidate in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python "/usr/bin/python$version" "/usr/local/bin/python$version" "/opt/homebrew/bin/python$version"; do
      if fits "$candidate"; then
        "$candidate" -c 'import sys; print(sys.executable)' # the interpreter itself, not a shim
        return
      fi
    done
  done
  for candidate in python3 python; do
    if fits "$candidate"; then
      "$candidate" -c 'import sys; print(sys.executable)'
      return
    fi
  done
  return 1
}

uv="$(find_uv)" || { install_uv && uv="$(find_uv)"; }
if python="$(find_python)"; then
  export UV_PYTHON="$python" UV_PYTHON_DOWNLOADS=never
else
  say "no Python 3.12 or 3.13 on PATH or in pyenv: asking uv to find or download one"
  export UV_PYTHON=3.12
fi
say "uv: $uv   Python: ${UV_PYTHON}"
# Compiled once here: where bytecode may not be written later (PYTHONDONTWRITEBYTECODE), every process would compile
# torch and diffusers anew, which takes it longer than importing them.
if ! "$uv" sync --all-extras --frozen --compile-bytecode; then
  say "the packages could not be installed: is the package registry reachable? (pip: PIP_INDEX_URL, uv: UV_DEFAULT_INDEX)"
  exit 1
fi
