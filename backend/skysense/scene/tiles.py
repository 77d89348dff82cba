"""Cutting a grid into tiles with a halo, so that a raster of any size is worked on in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from skysense.scene.grid import Grid, Window


@dataclass(frozen=True)
class Tile:
    """`core` is what the tile answers for; `outer` is what is read, with the halo around it."""

    core: Window  # inside the grid
    outer: Window  # may reach beyond the grid
    index: int

    @property
    def inner(self) -> Window:
        """The core in pixels of the outer window."""
        return Window(
            self.core.row - self.outer.row, self.core.column - self.outer.column, self.core.height, self.core.width
        )


@dataclass(frozen=True)
class Tiling:
    """All tiles of a grid, row by row. Every outer window has the same size, so shapes repeat.

    Origins of the outer windows are multiples of `multiple`, as encoders with window attention need.
    """

    grid: Grid
    tile_px: int
    halo_px: int
    multiple: int

    @classmethod
    def of(cls, grid: Grid, tile_px: int, halo_px: int, multiple: int) -> Tiling:
        """Round the sizes up to what the encoder needs."""
        halo = -(-halo_px // multiple) * multiple
        side = min(tile_px - 2 * halo, max(grid.height, grid.width))  # no larger than the scene
        core = -(-max(side, 1) // multiple) * multiple
        return cls(grid, core, halo, multiple)

    @property
    def rows(self) -> int:
        return -(-self.grid.height // self.tile_px)

    @property
    def columns(self) -> int:
        return -(-self.grid.width // self.tile_px)

    def __len__(self) -> int:
        return self.rows * self.columns

    def __iter__(self) -> Iterator[Tile]:
        for index in range(len(self)):
            yield self[index]

    def __getitem__(self, index: int) -> Tile:
        if not 0 <= index < len(self):
            raise IndexError(index)
        row, column = (part * self.tile_px for part in divmod(index, self.columns))
        core = Window(row, column, min(self.tile_px, self.grid.height - row), min(self.tile_px, self.grid.width - column))
        return Tile(core, Window(row, column, self.tile_px, self.tile_px).buffer(self.halo_px), index)
