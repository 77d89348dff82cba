"""Which package may import which: the arrows of the architecture, read from every import in the code."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
BACKEND = REPOSITORY / "backend/skysense"
PLUGIN = REPOSITORY / "skysense_qgis"
HEAVY = {"torch", "torchvision", "timm", "rasterio", "skimage", "cv2", "scipy", "safetensors", "pyogrio", "shapely"}

# package of the backend -> packages of the backend that it must not import
BACKEND_NEVER = {
    "protocol": {"example", "scene", "models", "objectives", "training", "segment", "jobs", "worker", "evaluate", "change", "parity", "errors"},
    "errors": {"example", "scene", "models", "objectives", "training", "segment", "jobs", "worker", "evaluate", "change", "parity"},
    "scene": {"example", "models", "objectives", "training", "segment", "jobs", "worker", "evaluate", "change", "parity"},
    "models": {"example", "scene", "objectives", "training", "segment", "jobs", "worker", "evaluate", "change", "parity"},
    "segment": {"example", "scene", "models", "objectives", "training", "jobs", "worker", "evaluate", "change", "parity"},
    "change": {"example", "jobs", "worker", "evaluate", "training", "segment"},
    "example": {"jobs", "worker", "evaluate", "training", "segment", "change", "parity", "objectives"},
    "training": {"example", "jobs", "worker", "evaluate", "segment", "change"},
    "evaluate": {"worker"},
    "parity": {"example", "scene", "jobs", "worker", "evaluate", "change", "segment"},
    "objectives": {"example", "scene", "models", "training", "segment", "jobs", "worker", "evaluate", "change", "parity"},
    "jobs": {"worker", "evaluate", "parity"},
    "worker": {"example", "scene", "models", "objectives", "training", "segment", "evaluate", "change", "parity"},
}
PLUGIN_NEVER = {
    "protocol": {"client", "layers", "algorithms", "gui"},
    "client": {"layers", "algorithms", "gui"},
    "layers": {"algorithms", "gui"},
    "algorithms": {"gui"},
    "gui": {"algorithms"},
}


def files_of(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def imports(path: Path, package_root: Path) -> set[str]:
    """Absolute dotted names of everything that the file imports, relative ones resolved."""
    module = path.relative_to(package_root.parent).with_suffix("").parts
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(module[: len(module) - node.level]) if node.level else ""
            origin = ".".join(part for part in (base, node.module) if part)
            names |= {origin} | {f"{origin}.{alias.name}" for alias in node.names}
    return names


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("package", sorted(BACKEND_NEVER))
def test_backend_arrows(package):
    home = BACKEND / package
    paths = files_of(home) if home.is_dir() else [BACKEND / f"{package}.py"]
    assert paths
    wrong = [
        f"{path.relative_to(REPOSITORY)} imports {name}"
        for path in paths
        if path.exists()
        for name in imports(path, BACKEND)
        for other in BACKEND_NEVER[package]
        if within(name, f"skysense.{other}")
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("package", sorted(PLUGIN_NEVER))
def test_plugin_arrows(package):
    wrong = [
        f"{path.relative_to(REPOSITORY)} imports {name}"
        for path in files_of(PLUGIN / package)
        for name in imports(path, PLUGIN)
        for other in PLUGIN_NEVER[package]
        if within(name, f"skysense_qgis.{other}")
    ]
    assert not wrong, "\n".join(wrong)


def tops(folder: Path) -> list[tuple[Path, str]]:
    return [(path, name.split(".")[0]) for path in files_of(folder) for name in imports(path, folder)]


def test_the_plugin_imports_nothing_of_the_engine_but_the_protocol():
    wrong = [(str(path), top) for path, top in tops(PLUGIN) if top in HEAVY | {"skysense", "subprocess"}]
    assert files_of(PLUGIN) and not wrong, wrong


def test_the_backend_knows_nothing_of_qgis():
    wrong = [(str(path), top) for path, top in tops(BACKEND) if top in {"qgis", "PyQt5", "PyQt6", "osgeo", "skysense_qgis"}]
    assert files_of(BACKEND) and not wrong, wrong


def test_the_protocol_is_standard_library_with_relative_imports():
    import sys

    for path in files_of(BACKEND / "protocol"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    assert alias.name.split(".")[0] in sys.stdlib_module_names, f"{path.name} imports {alias.name}"
            elif isinstance(node, ast.ImportFrom) and not node.level:
                assert (node.module or "").split(".")[0] in sys.stdlib_module_names, f"{path.name} imports {node.module}"


def test_scene_has_no_torch_and_models_no_rasterio():
    torch_in_scene = [str(path) for path, top in tops(BACKEND / "scene") if top in {"torch", "timm", "torchvision"}]
    rasterio_in_models = [str(path) for path, top in tops(BACKEND / "models") if top in {"rasterio", "pyogrio"}]
    assert not torch_in_scene and not rasterio_in_models


def test_one_reader_and_one_writer():
    """rasterio.open stands in the readers and writers of scene/ alone (and where evaluation reads its own folders)."""
    allowed = {"scene", "evaluate"}
    wrong = [
        str(path.relative_to(REPOSITORY))
        for path in files_of(BACKEND)
        if "rasterio.open(" in path.read_text(encoding="utf-8") and path.relative_to(BACKEND).parts[0] not in allowed
    ]
    assert not wrong, wrong
