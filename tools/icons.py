"""Draws resources/icons/*.svg: one shape language, two colours that hold on light and dark panels."""

from __future__ import annotations

from pathlib import Path

ICONS = Path(__file__).resolve().parent.parent / "resources/icons"
BLUE, ORANGE, GREY = "#2f7ed8", "#f28f1c", "#8a96a3"

SHAPES = {
    "skysense": f'<circle cx="12" cy="12" r="9.5" fill="none" stroke="{BLUE}" stroke-width="2"/>'
    f'<path d="M4 14 L9 9 L13 13 L16 10 L20.5 14.5" fill="none" stroke="{ORANGE}" stroke-width="2" stroke-linejoin="round"/>'
    f'<circle cx="15.5" cy="6.8" r="1.6" fill="{ORANGE}"/>',
    "embed": "".join(
        f'<rect x="{2 + 7 * (i % 3)}" y="{2 + 7 * (i // 3)}" width="6" height="6" rx="1" fill="{c}"/>'
        for i, c in enumerate((BLUE, BLUE, GREY, BLUE, ORANGE, ORANGE, GREY, ORANGE, ORANGE))
    ),
    "segment": f'<path d="M4 9 L12 3 L20 8 L18 19 L7 20 Z" fill="{ORANGE}" fill-opacity="0.35" stroke="{ORANGE}" '
    f'stroke-width="2" stroke-linejoin="round"/><circle cx="12" cy="12" r="2.5" fill="{BLUE}"/>',
    "example": f'<rect x="2.5" y="2.5" width="8" height="8" rx="1" fill="{ORANGE}"/>'
    f'<rect x="13.5" y="2.5" width="8" height="8" rx="1" fill="none" stroke="{BLUE}" stroke-width="2"/>'
    f'<rect x="2.5" y="13.5" width="8" height="8" rx="1" fill="none" stroke="{BLUE}" stroke-width="2"/>'
    f'<circle cx="17.5" cy="17.5" r="4" fill="none" stroke="{GREY}" stroke-width="2"/>',
    "change": f'<rect x="2.5" y="5" width="9" height="14" fill="none" stroke="{GREY}" stroke-width="2"/>'
    f'<rect x="12.5" y="5" width="9" height="14" fill="none" stroke="{BLUE}" stroke-width="2"/>'
    f'<rect x="15" y="9" width="4" height="6" fill="{ORANGE}"/>',
    "train": f'<path d="M3 4 V20 H21" fill="none" stroke="{GREY}" stroke-width="2"/>'
    f'<path d="M5.5 7 C9 17 13 17 20 18" fill="none" stroke="{BLUE}" stroke-width="2"/>'
    f'<path d="M5.5 17 C10 9 13 8 20 7" fill="none" stroke="{ORANGE}" stroke-width="2"/>',
    "apply": f'<rect x="2.5" y="2.5" width="19" height="19" rx="2" fill="none" stroke="{GREY}" stroke-width="2"/>'
    f'<path d="M3 14 L10 8 L14 21 H3 Z" fill="{BLUE}"/><path d="M10 8 L21 4 V21 H14 Z" fill="{ORANGE}"/>',
}


def main() -> int:
    ICONS.mkdir(parents=True, exist_ok=True)
    for name, shapes in SHAPES.items():
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24" viewBox="0 0 24 24">{shapes}</svg>\n'
        (ICONS / f"{name}.svg").write_text(svg, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
