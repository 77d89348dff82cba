"""Puts the plugin into a QGIS profile as a folder of links in the zip's layout: `make install`."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from layout import PLUGIN, links


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plugins-folder", type=Path, help="default: that of the user's default QGIS profile")
    folder = (parser.parse_args().plugins_folder or default_folder()) / PLUGIN
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for name, target in links().items():
        (folder / name).symlink_to(target, target_is_directory=target.is_dir())
    print(f"Linked into {folder}. Enable SkySense under Plugins > Manage and Install Plugins.")
    return 0


def default_folder() -> Path:
    """Where QGIS keeps the plugins of the default profile on this system."""
    major = "QGIS4" if shutil.which("qgis4") else "QGIS3"
    if sys.platform == "win32":
        base = Path(os.environ["APPDATA"]) / "QGIS"
    elif sys.platform == "darwin":
        base = Path.home() / "Library/Application Support/QGIS"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local/share")) / "QGIS"
    return base / major / "profiles/default/python/plugins"


if __name__ == "__main__":
    raise SystemExit(main())
