#!/usr/bin/env bash
# Everything `make demo` and `make test` need: QGIS, the engine's environment (.venv), the plugin tests' (.venv-qgis).
# Run again, it does only what changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PYTHON=/usr/bin/python3  # the Python that QGIS was built for; the first python3 on the path may be another
QGIS_PACKAGES="qgis python3-qgis qgis-providers python3-venv"
OLDEST_QGIS=34000  # 3.40
APT=/etc/apt
DESKTOP_PACKAGES="xvfb xdotool imagemagick openbox fonts-dejavu-core"

say() { printf '%s\n' "$*"; }

qgis_version() {  # as a number, 34006 for 3.40.6; nothing where there is no QGIS
  command -v qgis_process >/dev/null && "$PYTHON" -c 'import ensurepip; from qgis.core import Qgis; print(Qgis.QGIS_VERSION_INT)' 2>/dev/null
}

missing_system() {  # which Debian packages have to come
  local version
  version=$(qgis_version) || true
  [ "${version:-0}" -ge "$OLDEST_QGIS" ] || printf '%s ' "$QGIS_PACKAGES"
  for program in Xvfb xdotool import openbox; do
    command -v "$program" >/dev/null || { printf '%s ' "$DESKTOP_PACKAGES"; return; }
  done
  [ -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf ] || printf 'fonts-dejavu-core '
}

has_backports() {  # in a line that is not commented out
  grep -rqsE '^[[:space:]]*(deb[[:space:]]|Suites:).*bookworm-backports' "$APT/sources.list" "$APT/sources.list.d"
}

backports_line() {  # the suite, from the machine's own Debian source
  local uri
  uri=$(awk '/^URIs:/ {print $2; exit}' "$APT/sources.list.d/debian.sources" 2>/dev/null || true)
  [ -n "$uri" ] || uri=$(awk '$1 == "deb" {for (i = 2; i < NF; i++) if ($i ~ /:\/\// && $(i + 1) ~ /^bookworm/) {print $i; exit}}' \
    "$APT/sources.list" 2>/dev/null || true)
  printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s bookworm-backports main' \
    "${uri:-THE-DEBIAN-MIRROR-OF-THIS-MACHINE}"  # none is found in its sources: whoever reads the command knows it
}

system_command() {  # what installs the packages, as one line for a root shell
  local from="" add=""
  if [ "$1" = bookworm ]; then
    from="-t bookworm-backports "
    has_backports || add="echo '$(backports_line)' > $APT/sources.list.d/skysense-backports.list && "
  fi
  shift
  printf '%s' "${add}apt-get update && apt-get install -y --no-install-recommends ${from}$*"
}

check_qgis() {  # older ones are told, whoever installed them
  local version
  version=$(qgis_version) || return 0
  [ "$version" -ge "$OLDEST_QGIS" ] && return
  say "The plugin needs QGIS 3.40 or newer, found $((version / 10000)).$((version / 100 % 100))."
  say "Install a newer one (from the QGIS project, or from bookworm-backports on Debian 12), then make again."
  exit 1
}

install_system() {
  local packages codename
  packages=$(missing_system)
  [ -n "$packages" ] || return 0
  codename=$(. /etc/os-release 2>/dev/null; printf '%s' "${VERSION_CODENAME:-}")
  if ! command -v apt-get >/dev/null; then
    say "QGIS 3.40 or newer and its Python are needed. Install them for your system, and for the desktop test"
    say "Xvfb, xdotool, ImageMagick and openbox. Going on with what is there."
    check_qgis
    return 0
  fi
  local command
  # shellcheck disable=SC2086
  command=$(system_command "$codename" $packages)
  if [ "$(id -u)" -ne 0 ]; then
    say "Some system packages are missing or too old. Run this once, then make again:"
    say "  sudo sh -c \"$command\""
    exit 1
  fi
  DEBIAN_FRONTEND=noninteractive sh -ec "$command" >/dev/null
  check_qgis
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
  # Compiled here in 8 s: the first start then takes 4 s instead of 9.
  .uv/bin/uv pip install --quiet --compile-bytecode --python .venv/bin/python --require-hashes \
    -r backend/requirements.lock -r tests/requirements.lock
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

[ "${BASH_SOURCE[0]}" = "$0" ] || return 0  # read by a test
install_system
install_uv
install_backend
install_plugin_tests
