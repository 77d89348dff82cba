"""One open view and the masks of all prompts made on it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from skysense.errors import PromptError
from skysense.segment import colours, graph, scorer, superpixels
from skysense.segment.components import clicked_parts
from skysense.segment.cut import minimum_cut
from skysense.segment.graph import CAP
from skysense.segment.guard import guard
from skysense.segment.outline import OutlineFilter
from skysense.segment.prompts import Box, Click, Prompt
from skysense.segment.recolour import recolour
from skysense.segment.view_scale import choose_scale, mask_to_full, mask_to_view, to_view_scale

__all__ = ["Box", "Click", "ClickSession", "Prompt"]

FINE_STEP_PX = 6  # between seeds, on a view that was scaled down
COARSE_STEP_PX = 9  # and on one that was scaled up
REMEMBERED = 256  # masks


class ClickSession:
    """Answers prompts on one view.

    The caller always passes all prompts so far; masks are remembered by their prompts, so that undo and redo cost
    nothing and the same prompts always give the same mask.

    A box says where the object is: the newest one is proposed anew, and the mask stays inside it until a positive
    click is made outside.
    """

    def __init__(
        self, rgb: NDArray[np.uint8], scale_factor: float | None = None, *, guarded: bool = True,
        told: Callable[[float], None] = lambda share: None,
    ) -> None:
        """Cut the view into superpixels; this is the slow part.

        Args:
            rgb: (H, W, 3), the view at full resolution.
            scale_factor: view scale; None leaves it to `choose_scale`.
            guarded: whether a click may change the mask only around itself (evaluation compares with False).
            told: hears the share done, and stops it by what it raises.

        Raises:
            PromptError: the picture has another shape or type.
        """
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or not rgb.size:
            raise PromptError(
                f"A view is uint8 (H, W, 3), this one is {rgb.dtype} {rgb.shape}.", "Render the layer as 8-bit RGB."
            )
        self.shape = (rgb.shape[0], rgb.shape[1])
        self.scale_factor = choose_scale(*self.shape) if scale_factor is None else scale_factor
        self._guarded = guarded
        told(0.0)
        picture = to_view_scale(rgb, self.scale_factor)
        self._bgr = np.ascontiguousarray(picture[..., ::-1])
        step = FINE_STEP_PX if self.scale_factor < 1 else COARSE_STEP_PX
        self._nodes = superpixels.build(picture, step)
        told(0.5)
        self._graph = graph.build(self._nodes, step)
        self._palette_shares = colours.palette_shares(self._nodes)
        told(0.8)
        # Only a view that was scaled down has edges that its masks have not seen yet.
        self._outline = OutlineFilter(superpixels.smooth_lab(rgb)) if self.scale_factor < 1 else None
        self._distances: dict[int, NDArray[np.float64]] = {}
        self._masks: OrderedDict[tuple[Prompt, ...], NDArray[np.uint8]] = OrderedDict()  # as packed bits

    def mask_for(self, prompts: Sequence[Prompt]) -> NDArray[np.bool_]:
        """The mask (H, W) for all prompts so far, in the order they were made.

        Raises:
            PromptError: a prompt lies outside the view.
        """
        for prompt in prompts:
            self._check(prompt)
        known = tuple(prompts)
        while known and known not in self._masks:
            known = known[:-1]
        mask = self._recall(known)
        for count in range(len(known) + 1, len(prompts) + 1):
            mask = self._next(mask, prompts[:count])
            self._remember(tuple(prompts[:count]), mask)
        return mask

    def _next(self, mask: NDArray[np.bool_], prompts: Sequence[Prompt]) -> NDArray[np.bool_]:
        """The mask after the last of the prompts, from the mask before it."""
        last = prompts[-1]
        if isinstance(last, Click) and mask[last.y, last.x] == last.positive:
            return mask  # right already
        proposal = self._propose(prompts)
        if isinstance(last, Box) or not self._guarded or not mask.any():
            return proposal
        return guard(mask, proposal, last.x, last.y, last.positive)

    def _propose(self, prompts: Sequence[Prompt]) -> NDArray[np.bool_]:
        """What the method would answer (H, W), were there no earlier masks to respect."""
        clicks = [prompt for prompt in prompts if isinstance(prompt, Click)]
        box = _box_in_force(prompts)
        positive = [self._to_view(click.x, click.y) for click in clicks if click.positive]
        negative = [self._to_view(click.x, click.y) for click in clicks if not click.positive]
        if not positive and box is None:
            return np.zeros(self.shape, bool)

        inside = self._box_mask(box)
        labels = self._nodes.labels
        positive_nodes = [int(labels[y, x]) for x, y in positive]
        negative_nodes = [int(labels[y, x]) for x, y in negative]
        state = scorer.PromptState(
            positive_distance=self._nearest(positive_nodes),
            negative_distance=self._nearest(negative_nodes),
            click_centre=np.mean(positive, axis=0) if positive else np.full(2, np.nan),
            box_share=None if inside is None else self._nodes.mean(mask_to_view(inside, labels.shape)),
        )
        z = scorer.scores(self._graph, self._palette_shares, state)
        view_mask = minimum_cut(self._graph, z, positive_nodes, negative_nodes)[labels]
        view_mask = clicked_parts(view_mask, positive, negative)
        view_mask = recolour(self._bgr, view_mask, positive, negative)
        for points, belongs in ((negative, False), (positive, True)):
            for x, y in points:
                view_mask[y, x] = belongs
        proposal = mask_to_full(view_mask, self.shape)
        if self._outline is not None:
            proposal = self._outline.refine(proposal)
        for click in clicks:
            proposal[click.y, click.x] = click.positive
        return proposal if inside is None else proposal & inside

    def _nearest(self, nodes: list[int]) -> NDArray[np.float64]:
        """Geodesic distance of every node to the nearest of some (N,)."""
        nearest = np.full(len(self._nodes.area), CAP)
        for node in nodes:
            if node not in self._distances:
                self._distances[node] = self._graph.geodesic(node)
            np.minimum(nearest, self._distances[node], out=nearest)
        return nearest

    def _to_view(self, x: int, y: int) -> tuple[int, int]:
        """A pixel of the full view -> column and row at view scale."""
        height, width = self._nodes.labels.shape
        column, row = int((x + 0.5) * width / self.shape[1]), int((y + 0.5) * height / self.shape[0])
        return min(column, width - 1), min(row, height - 1)

    def _box_mask(self, box: Box | None) -> NDArray[np.bool_] | None:
        if box is None:
            return None
        inside = np.zeros(self.shape, bool)
        inside[box.y0 : box.y1 + 1, box.x0 : box.x1 + 1] = True
        return inside

    def _check(self, prompt: Prompt) -> None:
        height, width = self.shape
        corners = [(prompt.x, prompt.y)] if isinstance(prompt, Click) else [(prompt.x0, prompt.y0), (prompt.x1, prompt.y1)]
        if not all(0 <= x < width and 0 <= y < height for x, y in corners):
            raise PromptError(
                f"{prompt} lies outside the view of {width} x {height} pixels.",
                "Click inside the view that was opened, or open the new one.",
            )

    def _remember(self, prompts: tuple[Prompt, ...], mask: NDArray[np.bool_]) -> None:
        self._masks[prompts] = np.packbits(mask)
        while len(self._masks) > REMEMBERED:
            self._masks.popitem(last=False)

    def _recall(self, prompts: tuple[Prompt, ...]) -> NDArray[np.bool_]:
        if not prompts:
            return np.zeros(self.shape, bool)
        self._masks.move_to_end(prompts)
        height, width = self.shape
        return np.unpackbits(self._masks[prompts], count=height * width).reshape(self.shape).astype(bool)


def _box_in_force(prompts: Sequence[Prompt]) -> Box | None:
    """The newest box, unless a positive click was made outside it afterwards."""
    box: Box | None = None
    for prompt in prompts:
        if isinstance(prompt, Box):
            box = prompt
        elif box is not None and prompt.positive and not _holds(box, prompt):
            box = None
    return box


def _holds(box: Box, click: Click) -> bool:
    return box.x0 <= click.x <= box.x1 and box.y0 <= click.y <= box.y1
