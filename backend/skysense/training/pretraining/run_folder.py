"""The folder of a run: settings, a lock, and what other programs read of it while it works.

settings.json   what the run was started with
lock            held by the process that works there
status.json     state, process, step, seconds left and a sentence; replaced whole
log.jsonl       one line a logged step
stop            put there by anybody: the run saves and ends
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from skysense.errors import OutputError, RequestError
from skysense.training.pretraining.settings import PretrainSettings
from skysense.training.views import ViewSettings

OUTPUT = "output.log"  # whoever starts the process may have put what it says into the folder


class RunFolder:
    """Reads and writes what is beside the checkpoints."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.weights = path / "weights.safetensors"
        self.tensorboard = path / "tensorboard"
        self._log = path / "log.jsonl"
        self._stop = path / "stop"
        self._settings = path / "settings.json"

    @property
    def begun(self) -> bool:
        """Whether a run was ever started here."""
        return self._settings.is_file()

    @property
    def finished(self) -> bool:
        """Whether the run reached its last step."""
        try:
            return bool(json.loads((self.path / "status.json").read_text(encoding="utf-8"))["state"] == "finished")
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def create(self, settings: PretrainSettings, shards: tuple[Path, ...], shards_digest: str) -> None:
        """Raises OutputError where the folder cannot be made or holds something else."""
        if self.path.exists() and (not self.path.is_dir() or any(path.name != OUTPUT for path in self.path.iterdir())):
            raise OutputError(f"The folder {self.path.name} is not empty and holds no run.", "Choose a new folder for the run.")
        plain = {"settings": asdict(settings), "shards": [str(path) for path in shards], "shards_digest": shards_digest}
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            _replace(self._settings, json.dumps(plain, indent=1))
        except OSError as error:
            raise OutputError(f"The run's folder cannot be written: {error.strerror}.", "Choose another folder.") from error

    def read(self) -> tuple[PretrainSettings, tuple[Path, ...], str]:
        """Settings, shard folders and their digest; raises RequestError where they cannot be read."""
        try:
            plain = json.loads(self._settings.read_text(encoding="utf-8"))
            known = {field.name for field in fields(PretrainSettings)}
            if set(plain["settings"]) != known:
                raise ValueError("they are of another version")
            views = {name: _tuple(value) for name, value in plain["settings"].pop("views").items()}
            settings = PretrainSettings(**plain["settings"], views=ViewSettings(**views))
            return settings, tuple(map(Path, plain["shards"])), str(plain["shards_digest"])
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise RequestError(
                f"The settings of the run in {self.path.name} cannot be read: {error}.",
                "Go on with the version of the plugin that began it, or start a new run.",
            ) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """For the one process that works here; the system lets go of it when the process ends, however it ends.

        Raises:
            RequestError: another one does.
        """
        with (self.path / "lock").open("a") as file:
            try:
                _hold(file.fileno())
            except OSError as error:
                raise RequestError(
                    f"The run in {self.path.name} is at work already.", "Wait for it, stop it, or choose another folder."
                ) from error
            yield

    def tell(self, state: str, **more: object) -> None:
        """Replace the status; a status that cannot be written does not end a run."""
        status = {"state": state, "pid": os.getpid(), "sentence": "", "remedy": "", "updated": time.time(), **more}
        with suppress(OSError):
            _replace(self.path / "status.json", json.dumps(status))

    def add_line(self, line: dict[str, object]) -> None:
        with self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def cut_log(self, step: int) -> None:
        """Leave out the lines behind a step: the run goes on from there."""
        if not self._log.is_file():
            return
        kept = []
        for line in self._log.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError, TypeError, KeyError):  # half a line, of a process that was killed
                if json.loads(line)["step"] <= step:
                    kept.append(line)
        _replace(self._log, "".join(f"{line}\n" for line in kept))

    def stop_asked(self) -> bool:
        return self._stop.exists()

    def forget_stop(self) -> None:
        self._stop.unlink(missing_ok=True)


def _tuple(value: Any) -> Any:
    """JSON knows no tuples."""
    return tuple(value) if isinstance(value, list) else value


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}.part")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)


def _hold(handle: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
