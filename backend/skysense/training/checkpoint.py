"""A fine-tuned model as one .safetensors file: head, what was changed of the encoder, and the card."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from skysense.errors import ModelError, OutputError
from skysense.models.catalog import is_file, load_encoder
from skysense.models.weights import read_card, read_header, weights_digest
from skysense.protocol.records import RecordError, from_plain, to_plain
from skysense.protocol.requests import ModelCard, ModelList
from skysense.scene.write import check_target, sync, working_folder
from skysense.training.segmenter import Segmenter

FORMAT = "skysense segmentation 1"
LARGEST_CLASS = 254  # of 8 bits, less 0 and 255, which say that there are no data
REMEDY = "Choose a model that was trained with this plugin, or train it again."


def save_segmenter(segmenter: Segmenter, path: Path) -> ModelCard:
    """Write the model, whole or not at all.

    The encoder's tensors are stored only if they were trained; otherwise the file names the digest of the encoder's
    weights.

    Args:
        segmenter: the trained model, with its card.
        path: the file to write.

    Returns:
        The card as `load_segmenter` will show it.

    Raises:
        OutputError: the file cannot be written.
    """
    check_target(path, ())
    card = segmenter.card
    head = {"format": FORMAT, "encoder_digest": segmenter.encoder.info.digest, "levels": list(segmenter.levels)}
    # One entry alone: several are written in an order of chance, and the same run would give another file.
    metadata = {"card": json.dumps({**_plain(card), "segmenter": head}, ensure_ascii=False, sort_keys=True)}
    tensors = {name: tensor.detach().cpu().float().contiguous() for name, tensor in own_state(segmenter).items()}
    try:
        with working_folder(path) as folder:
            draft = Path(folder) / "draft.safetensors"
            save_file(tensors, draft, metadata=metadata)
            sync(draft)
            digest = weights_digest(draft)
            os.replace(draft, path)
    except (OSError, SafetensorError) as error:
        raise OutputError(f"{path.name} cannot be written: {error}.", "Check free space and rights of the folder.") from error
    return replace(card, key=str(path), path=str(path), digest=digest)


def load_segmenter(
    path: Path | str, device: torch.device | str = "cpu", progress: Callable[[float], None] | None = None
) -> Segmenter:
    """The model, in evaluation mode on the device; `progress` is called with the share of its encoder that is loaded.

    Raises:
        ModelError: damaged, of another kind, or standing on an encoder that is not the one installed.
    """
    path = Path(path)
    card, head = _read(path)
    encoder = load_encoder(_encoder_key(card.encoder, path), progress=progress)
    if encoder.info.digest != head["encoder_digest"]:
        raise ModelError(
            f"{path.name} stands on {encoder.info.label} with the weights {str(head['encoder_digest'])[:19]}, "
            f"installed are {encoder.info.digest[:19]}.",
            "Train the model again, or install the version of the plugin that it was trained with.",
        )
    levels = head["levels"]
    if not isinstance(levels, list) or not levels or not set(map(str, levels)) <= set(encoder.info.levels):
        raise ModelError(f"{path.name} reads features that its encoder does not have: {levels}.", REMEDY)
    segmenter = Segmenter(encoder, tuple(map(str, levels)), card)
    for parameter in segmenter.parameters():
        parameter.requires_grad_(False)
    _fill(segmenter, path)
    return segmenter.to(device).eval()


def _encoder_key(key: str, path: Path) -> str:
    """An encoder that the user added may have moved together with the models that stand on it."""
    beside = path.parent / Path(key).name
    return str(beside) if is_file(key) and not Path(key).is_file() and beside.is_file() else key


def read_model_card(path: Path) -> ModelCard:
    """The card of a model file; its tensors are not read.

    Raises:
        ModelError: damaged, or no fine-tuned model.
    """
    return _read(path)[0]


def own_state(segmenter: Segmenter) -> dict[str, Tensor]:
    """The tensors that make this model: scales, head, and those of the encoder that are being trained."""
    state = {f"scales.{name}": tensor for name, tensor in segmenter.scales.state_dict().items()}
    state |= {f"head.{name}": tensor for name, tensor in segmenter.head.state_dict().items()}
    trained = {name for name, parameter in segmenter.encoder.named_parameters() if parameter.requires_grad}
    return state | {f"encoder.{name}": p for name, p in segmenter.encoder.named_parameters() if name in trained}


def _read(path: Path) -> tuple[ModelCard, dict[str, object]]:
    """The card, and what `save_segmenter` wrote beside it: format, encoder_digest, levels."""
    plain = read_card(path)
    head = plain.pop("segmenter", None)
    if not isinstance(head, dict) or head.get("format") != FORMAT or not {"encoder_digest", "levels"} <= set(head):
        raise ModelError(f"{path.name} is no fine-tuned segmentation model.", REMEDY)
    try:
        found = from_plain({"kind": "ModelList", "models": [plain]})
    except RecordError as error:
        raise ModelError(f"The card of {path.name} cannot be read: {error}.", REMEDY) from error
    if not isinstance(found, ModelList) or len(found.models[0].classes) < 2:
        raise ModelError(f"The card of {path.name} names no classes.", REMEDY)
    values = [entry.value for entry in found.models[0].classes]
    colours = [entry.colour for entry in found.models[0].classes]
    if len(set(values)) < len(values) or not all(1 <= value <= LARGEST_CLASS for value in values):
        raise ModelError(f"The classes of {path.name} have values that no class raster can hold: {values}.", REMEDY)
    if not all(re.fullmatch("#[0-9a-fA-F]{6}", colour) for colour in colours):
        raise ModelError(f"The classes of {path.name} have colours that are none: {colours}.", REMEDY)
    return replace(found.models[0], key=str(path), path=str(path), digest=weights_digest(path)), head


def _plain(card: ModelCard) -> dict[str, object]:
    """As JSON values, without what the file's place and contents tell: `from_plain` checks it as part of a list."""
    models = to_plain(ModelList((replace(card, key="", path=None, digest=None),)))["models"]
    if not isinstance(models, list) or not isinstance(models[0], dict):
        raise TypeError("a list of models is no list")
    return models[0]


def _fill(segmenter: Segmenter, path: Path) -> None:
    """Copy the file's tensors in; all of head and scales have to be there, of the encoder any."""
    stored, _ = read_header(path)
    state = segmenter.state_dict()
    wanted = {name for name in state if not name.startswith("encoder.")}
    allowed = wanted | {f"encoder.{name}" for name, _ in segmenter.encoder.named_parameters()}
    missing, unknown = sorted(wanted - set(stored)), sorted(set(stored) - allowed)
    if missing or unknown:
        raise ModelError(
            f"{path.name} does not fit its encoder and head: {len(missing)} tensors missing, {len(unknown)} unknown "
            f"({', '.join((missing + unknown)[:3])}).",
            REMEDY,
        )
    try:
        with safe_open(path, framework="pt") as file, torch.no_grad():
            for name in stored:
                if stored[name].shape != tuple(state[name].shape):
                    raise ModelError(
                        f"{path.name}: {name} has shape {stored[name].shape}, the model needs {tuple(state[name].shape)}.",
                        REMEDY,
                    )
                values = file.get_tensor(name)
                if not torch.isfinite(values).all():
                    raise ModelError(f"{path.name}: {name} holds values that are not finite.", REMEDY)
                state[name].copy_(values)
    except SafetensorError as error:
        raise ModelError(f"{path.name} cannot be read: {error}.", REMEDY) from error
