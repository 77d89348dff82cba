"""What a user says about the object, in pixels of the full-resolution view."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Click:
    """A pixel that belongs to the object (positive) or does not."""

    x: int  # column
    y: int  # row
    positive: bool = True


@dataclass(frozen=True)
class Box:
    """The object lies inside; both corners belong to the box."""

    x0: int  # left
    y0: int  # top
    x1: int  # right
    y1: int  # bottom


Prompt = Click | Box
