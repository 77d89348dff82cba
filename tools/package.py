"""Writes dist/skysense_qgis.zip by the plugin repository's rules: `make package`.

Tracked files only, one folder, fixed times and modes, so that the same commit gives the same bytes.
"""

from __future__ import annotations

import argparse
import zipfile
from pathlib import Path

from layout import PLUGIN, REPOSITORY, plugin_files

LARGEST_BYTES = 25_000_000
FORBIDDEN_SUFFIXES = {".pyc", ".exe", ".dll", ".so", ".dylib", ".bat", ".sh", ".ps1", ".cmd", ".whl"}
REQUIRED = ("__init__.py", "metadata.txt", "LICENSE")
FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # the earliest that zip can say


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=REPOSITORY / f"dist/{PLUGIN}.zip")
    target = parser.parse_args().output
    files = plugin_files()
    refused = [name for name in files if Path(name).suffix.lower() in FORBIDDEN_SUFFIXES]
    missing = [name for name in REQUIRED if name not in files]
    if refused or missing:
        raise SystemExit(f"Not allowed in the zip: {refused}. Missing from it: {missing}.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, path in files.items():
            entry = zipfile.ZipInfo(f"{PLUGIN}/{name}", FIRST_DAY)
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
    size = target.stat().st_size
    if size > LARGEST_BYTES:
        raise SystemExit(f"{target} has {size:,} bytes, the plugin repository takes {LARGEST_BYTES:,}.")
    print(f"{target}: {len(files)} files, {size:,} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
