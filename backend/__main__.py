"""Starts the package that lies beside this file: ``python -I <plugin>/backend serve``.

Isolated mode ignores the environment and the working folder, so nothing of QGIS's Python gets in; the package's own
folder is then named here.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from skysense.cli import main

raise SystemExit(main())
