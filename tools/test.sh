#!/usr/bin/env bash
# All tests: the backend in its own environment, the plugin and the whole in QGIS's Python.
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS=1 QT_QPA_PLATFORM=offscreen
failed=0
run() { printf '\n== %s\n' "$1"; shift; "$@" || failed=1; }

run "backend and repository" .venv/bin/python -m pytest -n 2 --dist loadfile tests/backend tests/*.py
if [ -x .venv-qgis/bin/python ]; then
  run "plugin" .venv-qgis/bin/python -m pytest tests/plugin
  run "end to end" .venv-qgis/bin/python -m pytest tests/end_to_end
elif [ "${CI:-}" = true ]; then
  printf 'QGIS is missing: the plugin cannot be tested.\n'
  failed=1
else
  printf '\n== plugin and end to end: skipped, QGIS is missing (make setup installs it on Debian as root)\n'
fi
exit $failed
