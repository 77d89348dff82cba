"""The bundled encoders and the user's own models, each with its card."""

from __future__ import annotations

import logging
from pathlib import Path

from skysense.errors import ModelError
from skysense.jobs.report import Report
from skysense.models import catalog
from skysense.models.weights import read_card, weights_digest
from skysense.protocol.requests import ListModels, ModelCard, ModelList
from skysense.training.checkpoint import read_model_card

log = logging.getLogger(__name__)


def run(request: ListModels, report: Report) -> ModelList:
    """Encoders first, then the files of the folder by name. A file that cannot be used is listed with the reason."""
    report.progress(0.0, "Reading model cards")
    cards = [_encoder_card(key) for key in catalog.ENCODERS]
    folder = Path(request.folder)
    if request.folder and folder.is_dir():
        for path in sorted(folder.glob("*.safetensors")):
            cards.append(_own_card(path))
            report.progress(0.5, "Reading model cards", path.name)
    return ModelList(tuple(cards))


def _encoder_card(key: str) -> ModelCard:
    entry, path = catalog.entry(key), catalog.bundled_weights(key)
    notes, digest = ["The weights file is missing: install the plugin again."], None
    if path is not None:
        try:
            notes, digest = _sentences(read_card(path)), weights_digest(path)
        except (ModelError, OSError) as error:
            log.warning("%s: %s", path, error)
            notes = [str(error)]
    return ModelCard(
        key=key,
        kind="encoder",
        label=entry.label,
        sensors=entry.sensors,
        parameters=entry.parameters,
        licence=entry.licence,
        description=entry.description,
        path=None if path is None else str(path),
        digest=digest,
        encoder=key,
        notes=tuple(notes),
    )


def _sentences(card: dict[str, object]) -> list[str]:
    """What the weights say of themselves."""
    data = card.get("data")
    said = [f"Weights: {card['what']}."] if "what" in card else []
    return [*said, f"Trained on: {', '.join(map(str, data))}."] if isinstance(data, list) and data else said


def _own_card(path: Path) -> ModelCard:
    try:
        return read_model_card(path)
    except (ModelError, OSError) as error:
        log.warning("%s: %s", path, error)
        reason = error.sentence if isinstance(error, ModelError) else str(error)
    return ModelCard(
        key=str(path),
        kind="damaged",
        label=path.stem,
        sensors=(),
        parameters=0,
        licence="",
        description="This file cannot be used.",
        path=str(path),
        digest=None,
        encoder="",
        notes=(reason,),
    )
