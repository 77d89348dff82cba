"""The backend's protocol package under the plugin's name. sys.path stays as it is."""

from pathlib import Path

_HERE = Path(__file__).resolve().parent
_BACKEND = next(
    folder / "backend" for folder in (Path(__file__).parent.parent, _HERE.parent, _HERE.parent.parent) if (folder / "backend").is_dir()
)
__path__ = [str(_BACKEND / "skysense" / "protocol")]
