#!/bin/sh
# In an image: installs the packages of a requirements file into /opt/suti and prunes them. uv is gone again when it ends.
#
#   sh install_pins.sh FILE
set -eu
pip install --quiet --no-cache-dir --root-user-action=ignore "uv>=0.9,<1"
[ -x /opt/suti/bin/python ] || uv venv --quiet --python /usr/local/bin/python3 /opt/suti
if [ -s "$1" ]; then
  uv pip install --quiet --no-deps --require-hashes -r "$1"
  python3 "$(dirname "$0")/prune_packages.py" /opt/suti/lib/python3.12/site-packages
fi
pip uninstall --quiet --yes --root-user-action=ignore uv
