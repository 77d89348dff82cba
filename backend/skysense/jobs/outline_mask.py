"""The polygon of an open view's mask."""

from __future__ import annotations

from shapely.affinity import affine_transform

from skysense.jobs import views
from skysense.jobs.report import Report
from skysense.protocol.requests import OutlineMask, OutlineReady
from skysense.scene.ground import area_m2
from skysense.segment.polygon import outline


def run(request: OutlineMask, report: Report) -> OutlineReady:
    """Outline, simplify and fill as asked, in the view's CRS."""
    view = views.get(request.view)
    mask = view.mask(request.prompts)
    shape = outline(mask, simplify_px=request.simplify_px, fill_holes_px=request.fill_holes_px)
    t = view.transform
    shape = affine_transform(shape, (t.a, t.b, t.d, t.e, t.c, t.f))
    area = area_m2(shape, view.crs) if view.crs and not shape.is_empty else None
    return OutlineReady(wkt=shape.wkt, pixels=int(mask.sum()), area_m2=area)
