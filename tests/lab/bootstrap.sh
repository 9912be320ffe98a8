#!/bin/sh
# Make .venv with the locked packages. usage: bootstrap.sh PYTHON
set -eu
python=$1
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv python3-pip
fi
"$python" -m venv --clear .venv
.venv/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
.venv/bin/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
