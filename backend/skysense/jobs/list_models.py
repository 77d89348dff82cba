"""The bundled encoders and the user's own models, each with its card."""

from __future__ import annotations

import logging
from pathlib import Path

from skysense.errors import ModelError
from skysense.jobs.report import Report
from skysense.models import catalog
from skysense.models.added import is_added
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
            cards.append(own_card(path))
            report.progress(0.5, "Reading model cards", path.name)
    return ModelList(tuple(cards))


def _encoder_card(key: str) -> ModelCard:
    """Of a bundled encoder, or of one that the user added; raises ModelError where its file says nothing useful."""
    entry = catalog.entry(key)
    path = Path(key) if catalog.is_file(key) else catalog.bundled_weights(key)
    notes, digest = ["The weights file is missing: install the plugin again."], None
    if path is not None:
        try:
            notes, digest = [*entry.notes, *_sentences(read_card(path))], weights_digest(path)
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


def own_card(path: Path) -> ModelCard:
    """Of an encoder that was added, of a fine-tuned model, or of a file that cannot be used."""
    try:
        return _encoder_card(str(path)) if is_added(path) else read_model_card(path)
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
