"""Masked semantic learning, step by step: the label map is read where it is shown and guessed where it is hidden.

SkySense++ (doi 10.1038/s42256-025-01078-8); facts: reference sheet, sections 5.4 and 5.5. One process; the released run
spread a batch over 32 of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from skysense.errors import ModelError
from skysense.models.skysense.plus_plus import PromptedPair, SkySensePlusPlus, hidden_tokens, presence
from skysense.objectives.semantic import annotation_loss, completion_loss
from skysense.training.schedule import warm_linear
from skysense.training.semantic.recipe import freeze, parameter_groups
from skysense.training.semantic.settings import SemanticSettings


@dataclass(frozen=True)
class SemanticLosses:
    """Means over the parts of a batch, or of one part."""

    total: Tensor
    annotation: Tensor
    completion: Tensor


class SemanticLearning:
    """A model, whose weights are best those of the first stage, and its optimizer."""

    def __init__(self, model: SkySensePlusPlus, settings: SemanticSettings, device: torch.device) -> None:
        self.settings, self.device = settings, device
        self.model = model.to(device).train()
        freeze(self.model, settings)
        self._optimizer = torch.optim.AdamW(parameter_groups(self.model, settings), lr=settings.learning_rate)

    def learn(self, parts: Iterable[PromptedPair], step: int) -> SemanticLosses:
        """One step on the parts of its batch, `settings.accumulate` of them.

        Raises:
            ModelError: a gradient is no number; nothing has moved then.
        """
        settings = self.settings
        torch.manual_seed(settings.seed * 1_000_003 + step)  # dropout and stochastic depth
        rate = settings.learning_rate * warm_linear(step, settings.steps, settings.warmup)
        for group in self._optimizer.param_groups:
            group["lr"] = group["rate_share"] * rate
        self._optimizer.zero_grad(set_to_none=True)
        found = [self._gradients(part) for part in parts]
        learning = [p for p in self.model.parameters() if p.grad is not None]
        norm = nn.utils.clip_grad_norm_(learning, settings.gradient_norm)
        if not torch.isfinite(norm):
            raise ModelError(f"The gradient was no number any more at step {step}.", "Start again with a lower learning rate.")
        self._optimizer.step()
        return SemanticLosses(*(torch.stack(terms).mean() for terms in zip(*found)))

    def _gradients(self, part: PromptedPair) -> tuple[Tensor, Tensor, Tensor]:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bf16"):
            found = losses(self.model, on_device(part, self.device))
        torch.autograd.backward(found.total / self.settings.accumulate)
        return found.total.detach(), found.annotation.detach(), found.completion.detach()


def losses(model: SkySensePlusPlus, pair: PromptedPair) -> SemanticLosses:
    """Both losses at weight 1, as released; without completion the second is 0."""
    said = model(pair)
    annotation = annotation_loss(said.logits.float(), pair.labels, hidden_tokens(pair.hidden))
    completion = annotation.new_zeros(())
    if said.completed is not None:
        done = said.completed
        # Where a sensor is there, its completed feature is the feature itself; elsewhere the loss has no weight.
        features, decoded = ([x.float() for x in maps] for maps in (done.features, done.decoded))
        completion = completion_loss(features, decoded, presence(pair), done.divergence.float())
    return SemanticLosses(annotation + completion, annotation, completion)


def on_device(pair: PromptedPair, device: torch.device) -> PromptedPair:
    given = {name: value.to(device) for name, value in vars(pair).items() if value is not None}
    return replace(pair, **given)
