#!/usr/bin/env bash
# Everything `make demo` and `make test` need: QGIS, the engine's environment (.venv), the plugin tests' (.venv-qgis).
# Run again, it does only what changed.
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON=/usr/bin/python3  # the Python that QGIS was built for; the first python3 on the path may be another
QGIS_PACKAGES="qgis python3-qgis qgis-providers python3-venv"
DESKTOP_PACKAGES="xvfb xdotool imagemagick openbox fonts-dejavu-core"

say() { printf '%s\n' "$*"; }

missing_system() {  # which Debian packages have to come
  command -v qgis_process >/dev/null && "$PYTHON" -c 'import ensurepip, qgis' 2>/dev/null || printf '%s ' "$QGIS_PACKAGES"
  for program in Xvfb xdotool import openbox; do
    command -v "$program" >/dev/null || { printf '%s ' "$DESKTOP_PACKAGES"; return; }
  done
  [ -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf ] || printf 'fonts-dejavu-core '
}

add_backports() {  # from the machine's own Debian source
  grep -rqs "bookworm-backports" /etc/apt/sources.list /etc/apt/sources.list.d && return
  local uri signed=/usr/share/keyrings/debian-archive-keyring.gpg
  uri=$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
  [ -n "$uri" ] || uri=$(awk '$1 == "deb" && $3 ~ /^bookworm/ {print $2; exit}' /etc/apt/sources.list)
  printf 'Types: deb\nURIs: %s\nSuites: bookworm-backports\nComponents: main\nSigned-By: %s\n' "$uri" "$signed" \
    > /etc/apt/sources.list.d/skysense-backports.sources
}

install_system() {
  local packages codename
  packages=$(missing_system)
  [ -n "$packages" ] || return 0
  codename=$(. /etc/os-release 2>/dev/null; printf '%s' "${VERSION_CODENAME:-}")
  if ! command -v apt-get >/dev/null; then
    say "QGIS 3.40 or newer and its Python are needed. Install them for your system, and for the desktop test"
    say "Xvfb, xdotool, ImageMagick and openbox. Going on with what is there."
    return 0
  fi
  local from=""
  [ "$codename" = bookworm ] && from="-t bookworm-backports"
  if [ "$(id -u)" -ne 0 ]; then
    say "Some system packages are missing. Run this once, then make again:"
    say "  sudo apt-get install --no-install-recommends $from $packages"
    [ "$codename" = bookworm ] && say "(QGIS 3.40 comes from bookworm-backports: add that suite to your apt sources first.)"
    exit 1
  fi
  [ "$codename" = bookworm ] && add_backports
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  # shellcheck disable=SC2086
  apt-get install -qq -y --no-install-recommends $from $packages >/dev/null
}

digest() { cat "$@" | sha256sum | cut -d' ' -f1; }

current() {  # stamp file, files that decide
  local stamp=$1; shift
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(digest "$@")" ]
}

install_uv() {
  [ -x .uv/bin/uv ] && return
  say "Installing uv"
  "$PYTHON" -m venv .uv
  .uv/bin/pip install --quiet --disable-pip-version-check uv
}

install_backend() {
  local decide=(backend/requirements.lock tests/requirements.lock backend/pyproject.toml metadata.txt)
  current .venv/.stamp "${decide[@]}" && return
  say "Installing the engine's environment (about 5 GB)"
  [ -x .venv/bin/python ] || .uv/bin/uv venv --quiet --python "$PYTHON" .venv
  .uv/bin/uv pip install --quiet --python .venv/bin/python --require-hashes -r backend/requirements.lock -r tests/requirements.lock
  .uv/bin/uv pip install --quiet --python .venv/bin/python --no-build-isolation --no-deps --editable backend
  digest "${decide[@]}" > .venv/.stamp
}

install_plugin_tests() {
  local decide=(tests/plugin/requirements.lock)
  current .venv-qgis/.stamp "${decide[@]}" && return
  "$PYTHON" -c 'import qgis' 2>/dev/null || { say "No QGIS for $PYTHON: the plugin's tests will be skipped."; return 0; }
  say "Installing the plugin tests' environment"
  [ -x .venv-qgis/bin/python ] || .uv/bin/uv venv --quiet --python "$PYTHON" --system-site-packages .venv-qgis
  .uv/bin/uv pip install --quiet --python .venv-qgis/bin/python --require-hashes -r tests/plugin/requirements.lock
  digest "${decide[@]}" > .venv-qgis/.stamp
}

install_system
install_uv
install_backend
install_plugin_tests
