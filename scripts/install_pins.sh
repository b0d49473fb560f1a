#!/bin/sh
# In an image: installs the packages of a requirements file into /opt/suti. uv is gone again when it ends.
#
#   sh install_pins.sh FILE
set -eu
pip install --quiet --disable-pip-version-check --no-cache-dir --root-user-action=ignore "uv>=0.9,<1"
[ -x /opt/suti/bin/python ] || uv venv --quiet --python /usr/local/bin/python3 /opt/suti
[ ! -s "$1" ] || uv pip install --quiet --no-deps --require-hashes -r "$1"
pip uninstall --quiet --yes --root-user-action=ignore uv
