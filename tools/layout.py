"""The plugin folder's layout: where each tracked file of the repository goes in the zip. Links follow the same."""

from __future__ import annotations

import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PLUGIN = "skysense_qgis"  # the folder's name is the plugin's id
# The plugin folder holds the contents of skysense_qgis/ and these beside them.
BESIDE = ("metadata.txt", "LICENSE", "resources", "backend")


def plugin_files() -> dict[str, Path]:
    """Path inside the plugin folder -> file of the repository, tracked files only, in order."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", PLUGIN, *BESIDE], cwd=REPOSITORY, check=True, capture_output=True, text=True
    )
    names = sorted(name for name in listed.stdout.split("\0") if name and (REPOSITORY / name).is_file())
    return {name.removeprefix(f"{PLUGIN}/"): REPOSITORY / name for name in names}


def links() -> dict[str, Path]:
    """Name inside the plugin folder -> what it links to."""
    inside = {path.name: path for path in sorted((REPOSITORY / PLUGIN).iterdir()) if path.name != "__pycache__"}
    return {**inside, **{name: REPOSITORY / name for name in BESIDE}}
