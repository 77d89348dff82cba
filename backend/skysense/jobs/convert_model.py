"""A checkpoint of a release becomes an encoder in our layout; a file that is one already is checked and copied."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import torch
from safetensors import safe_open

from skysense.errors import ModelError, RequestError
from skysense.jobs.list_models import own_card
from skysense.jobs.report import Report
from skysense.models.added import is_added, read_added, write_added
from skysense.models.skysense.model import SkySense
from skysense.models.skysense.plus_plus import SkySensePlusPlus
from skysense.models.skysense.released import read_released
from skysense.models.weights import check_fit, weight_state
from skysense.protocol.requests import PRECISIONS, ConvertModel, ModelConverted
from skysense.scene.write import cannot_write, check_target, sync, working_folder
from skysense.training.checkpoint import read_model_card


def run(request: ConvertModel, report: Report) -> ModelConverted:
    """Check the files, write the model whole or not at all, and return its card.

    Raises:
        RequestError: no file, no such precision. ModelError: a file that cannot be used, and why. OutputError.
    """
    started = time.monotonic()
    sources, target = [Path(path) for path in request.paths], Path(request.output_path)
    if not sources:
        raise RequestError("There is no file to convert.", "Choose the checkpoint, or all the files of one release.")
    if request.precision not in PRECISIONS:
        raise RequestError(f"There is no precision {request.precision!r}.", f"Choose one of {', '.join(PRECISIONS)}.")
    if target.suffix != ".safetensors":
        raise RequestError(f"{target.name} does not end in .safetensors.", "Choose a name that does.")
    check_target(target, request.paths)
    report.progress(0.0, "Opening the checkpoint")
    with working_folder(target) as folder:
        draft = Path(folder) / "draft.safetensors"
        try:
            _write(sources, draft, getattr(torch, request.precision), report)
            sync(draft)
            os.replace(draft, target)
        except OSError as error:
            raise cannot_write(target, error) from error
    return ModelConverted(own_card(target), time.monotonic() - started)


def _write(sources: list[Path], draft: Path, dtype: torch.dtype, report: Report) -> None:
    if len(sources) == 1 and sources[0].suffix == ".safetensors" and _is_ours(sources[0]):
        _check_ours(sources[0], report)
        shutil.copyfile(sources[0], draft)
        return
    released = read_released(sources)
    write_added(released, sources, draft, dtype, lambda share: report.progress(share, "Writing the model"))


def _is_ours(path: Path) -> bool:
    """An encoder in our layout, or a model that was trained here."""
    if is_added(path):
        return True
    try:
        read_model_card(path)
    except ModelError:
        return False
    return True


def _check_ours(path: Path, report: Report) -> None:
    """Every tensor that the card promises, with finite values."""
    if not is_added(path):
        return  # of a trained model the card was read, and the job that applies it checks the rest
    added = read_added(path)
    with torch.device("meta"):
        model = SkySense(added.config) if added.plus_plus is None else SkySensePlusPlus(added.plus_plus)
    wanted = weight_state(model)
    check_fit(path, wanted)
    with safe_open(path, framework="pt") as file:
        for done, name in enumerate(wanted):
            report.progress(done / len(wanted), "Checking the model")
            if not torch.isfinite(file.get_tensor(name)).all():
                raise ModelError(f"{path.name}: {name} holds values that are not finite.", "Download the file again.")
