#!/usr/bin/env bash
# Style, types and the plugin repository's scanners.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/ruff check .
.venv/bin/mypy -p skysense
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
/usr/bin/python3 tools/package.py --output "$scratch/plugin.zip"
/usr/bin/python3 -m zipfile -e "$scratch/plugin.zip" "$scratch"
.venv/bin/python tools/scan.py "$scratch/skysense_qgis"
