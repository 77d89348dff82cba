"""Settings of a pretraining run."""

from __future__ import annotations

from dataclasses import dataclass, field

from skysense.training.views import ViewSettings

PRESETS = ("nano", "tiny", "base", "huge")
CONTRASTS = ("sinkhorn", "centring", "info-nce")


@dataclass(frozen=True)
class PretrainSettings:
    """What a run depends on beside its data; the defaults are for `nano` on a laptop.

    Weights of the terms, teacher and prototypes: SkySense (arXiv 2312.10115), section 3; heads, temperatures and weight
    decay: DINO (Caron et al., ICCV 2021).
    """

    preset: str = "nano"
    start: str | None = None  # weights of that preset to start from, whose inherited stems stay; None: random ones
    steps: int = 1000
    batch: int = 8  # samples a step, over all ranks
    accumulate: int = 1  # parts of a batch that go through one after the other, to save memory
    learning_rate: float = 5e-4
    weight_decay: float = 0.04
    warmup_share: float = 0.1  # of the steps
    gradient_norm: float = 3.0  # longer gradients are cut
    contrast: str = "sinkhorn"  # L_CL, see `objectives.contrastive`
    outputs: int = 512  # of a projection head
    alpha: float = 1.0  # of L_MGCL
    beta: float = 0.1  # of L_align
    keep: float = 0.0  # of L_keep: stay near the features of `start`, see `objective`
    objects: int = 8  # clusters of an image
    cells: int = 8  # a side, on which two views are compared where they overlap
    teacher_momentum: float = 0.996  # at the first step; 1 at the last; see `momentum_for`
    prototypes: bool = True  # False: they are 0 and stay so, F_RS says no more than F_mm
    prototype_momentum: float = 0.999
    precision: str = "fp32"  # or "bf16", by autocast
    compiled: bool = False  # blocks, by torch.compile
    save_memory: bool = False  # keep matrix products alone of a block's activations and compute the rest again
    save_every: int = 100
    log_every: int = 5
    workers: int = 1  # processes that prepare batches; 0: in between the steps
    seed: int = 0
    views: ViewSettings = field(default_factory=ViewSettings)


def momentum_for(steps: int) -> float:
    """The teacher's first momentum: the paper's 0.996, and less for runs below 2,500 steps.

    At 0.996 a teacher remembers 250 steps: what a short run learnt would never reach it.
    """
    return min(0.996, max(0.8, 1 - 10 / steps))
