"""Puts the bundled weights, which lie beside this folder, into wheels: `pip install ./backend` works on a server."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

RESOURCES = Path(__file__).resolve().parent.parent / "resources"
BESIDE_THE_CODE = ("models", "licences")


class BuildWithWeights(build_py):
    """Copies them to `skysense/bundled`; an editable install reads them where they lie."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for name in BESIDE_THE_CODE:
                shutil.copytree(RESOURCES / name, Path(self.build_lib) / "skysense/bundled" / name, dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithWeights})
