"""The plugin runs on Qt 5 and Qt 6 from one code base: imports through qgis.PyQt, scoped enums, exec()."""

from __future__ import annotations

import ast
import enum
import importlib
from pathlib import Path

import pytest

PLUGIN = Path(__file__).resolve().parents[2] / "skysense_qgis"
GONE_IN_QT6 = {"exec_", "globalPos", "associatedWidgets", "desktop"}


def problems(source: str) -> list[str]:
    """What Qt 6 would refuse, one sentence a line of code."""
    tree = ast.parse(source)
    found = []
    classes = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules = [node.module or ""]
            if modules[0].startswith(("qgis.PyQt", "qgis.core", "qgis.gui")):
                module = importlib.import_module(modules[0])
                classes |= {alias.asname or alias.name: getattr(module, alias.name) for alias in node.names}
        else:
            continue
        for module in modules:
            if module.split(".")[0] in {"PyQt5", "PyQt6", "sip"}:
                found.append(f"line {node.lineno}: {module} imported directly; take it from qgis.PyQt")
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute):
            continue
        if node.attr in GONE_IN_QT6:
            found.append(f"line {node.lineno}: {node.attr}() is gone in Qt 6")
        if isinstance(node.value, ast.Name) and isinstance(classes.get(node.value.id), type):
            owner = classes[node.value.id]
            # Real enums are asked of Qt itself: in Qt 5 both forms exist, and the short one gives a number.
            if not issubclass(owner, enum.Enum) and isinstance(getattr(owner, node.attr, None), (int, enum.Enum)):
                found.append(f"line {node.lineno}: {node.value.id}.{node.attr} is not scoped")
    return found


@pytest.mark.parametrize("path", sorted(PLUGIN.rglob("*.py")), ids=lambda path: str(path.relative_to(PLUGIN)))
def test_one_code_base_for_both_versions_of_qt(path):
    assert problems(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        "from PyQt5.QtCore import Qt",
        "from qgis.PyQt.QtCore import Qt; a = Qt.LeftButton",
        "from qgis.PyQt.QtWidgets import QMessageBox; a = QMessageBox.Yes",
        "dialog.exec_()",
        "from qgis.PyQt.QtCore import Qt; a = Qt.AlignRight | Qt.AlignVCenter",
        "from qgis.PyQt.QtCore import QEvent; p = QEvent.MouseButtonPress",
        "from qgis.PyQt.QtCore import Qt; c = Qt.UserRole",
    ],
)
def test_the_check_finds_what_breaks(line):
    assert problems(line)


@pytest.mark.parametrize(
    "line",
    [
        "from qgis.PyQt.QtCore import Qt; a = Qt.MouseButton.LeftButton",
        "from qgis.PyQt.QtCore import QLocale; QLocale.system()",
        "from qgis.core import Qgis; a = Qgis.MessageLevel.Warning",
        "dialog.exec()",
    ],
)
def test_the_check_passes_what_works(line):
    assert problems(line) == []
