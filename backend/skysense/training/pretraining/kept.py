"""Saved states of a run: whole or not there at all, written in the background, safetensors alone.

checkpoints/step-00000100/        one file a rank, by torch.distributed.checkpoint: any number of ranks can read it
checkpoints/step-00000200.part/   being written
"""

from __future__ import annotations

import os
import re
import shutil
import warnings
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint import HuggingFaceStorageReader, HuggingFaceStorageWriter

from skysense.errors import ModelError, OutputError
from skysense.training.distributed import Ranks

warnings.filterwarnings("ignore", message="torch.distributed is disabled")  # said of every run of one process
NEWEST = 2  # so many are kept
NAME = re.compile(r"step-(\d{8})")


class Checkpoints:
    """The folder of one run's states."""

    def __init__(self, folder: Path, ranks: Ranks) -> None:
        self._folder, self._ranks = folder, ranks
        self._pending: tuple[Path, Future[Any]] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def latest(self) -> Path | None:
        """The newest whole one."""
        return self._whole()[-1] if self._whole() else None

    def save(self, step: int, state: Mapping[str, Tensor]) -> None:
        """Begin to write a copy of the state, once an earlier one is written; training goes on meanwhile.

        Raises:
            OutputError: the earlier one could not be written.
        """
        self.wait()
        draft = self._folder / f"step-{step:08d}.part"
        if self._ranks.first:
            shutil.rmtree(draft, ignore_errors=True)
        copy = {name: tensor.detach().clone() for name, tensor in state.items()}
        saved = dcp.async_save(
            copy,
            storage_writer=HuggingFaceStorageWriter(str(draft), save_distributed=True),
            process_group=self._ranks.in_background,
            no_dist=self._ranks.world == 1,
        )
        self._pending = (draft, saved)  # type: ignore[assignment]

    def wait(self) -> None:
        """Until what was begun is whole and has its name.

        Raises:
            OutputError: it could not be written.
        """
        if self._pending is None:
            return
        draft, saved = self._pending
        self._pending = None
        try:
            saved.result()
            if self._ranks.first:
                self._name(draft)
        except (OSError, RuntimeError, dcp.CheckpointException) as error:
            raise OutputError(
                f"The state {draft.stem} cannot be written: {error}.", "Check free space and rights of the run's folder."
            ) from error

    def settle(self) -> None:
        """Name what is written by now, without waiting."""
        if self._pending is not None and self._pending[1].done():
            self.wait()

    def load(self, state: Mapping[str, Tensor]) -> int:
        """Fill the tensors with the newest state and return its step; 0 where there is none.

        Raises:
            ModelError: it does not fit the run's settings, or is damaged.
        """
        found = self.latest()
        if found is None:
            return 0
        try:
            dcp.load(dict(state), storage_reader=HuggingFaceStorageReader(str(found)), no_dist=self._ranks.world == 1)
        except (OSError, RuntimeError, ValueError, KeyError, dcp.CheckpointException) as error:
            raise ModelError(
                f"The saved state {found.name} cannot be read: {str(error).splitlines()[0]}.",
                "Remove it, so that the run goes on from an earlier one, or start a new run.",
            ) from error
        return int(found.name.removeprefix("step-"))

    def _name(self, draft: Path) -> None:
        for file in draft.iterdir():
            _sync(file)
        whole = draft.with_suffix("")
        shutil.rmtree(whole, ignore_errors=True)  # of a run that went on from an older state
        os.replace(draft, whole)
        for old in self._whole()[:-NEWEST]:
            shutil.rmtree(old, ignore_errors=True)

    def _whole(self) -> list[Path]:
        return sorted(path for path in self._folder.iterdir() if NAME.fullmatch(path.name))


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
