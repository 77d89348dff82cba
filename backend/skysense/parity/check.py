"""Run fixtures through our modules and compare: the report of `skysense check-parity`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from skysense.parity import skysense_pp, skysense_pp_whole, skysense_v1
from skysense.parity.fixtures import Fixture, read_fixtures

log = logging.getLogger(__name__)

Runner = Callable[[Fixture], Mapping[str, Tensor]]
RUNNERS: dict[str, Mapping[str, Runner]] = {  # by family
    "skysense": {**skysense_v1.RUNNERS, **skysense_pp.RUNNERS, **skysense_pp_whole.RUNNERS},
}


@dataclass(frozen=True)
class OutputCheck:
    """One output beside the stored one."""

    name: str
    max_abs: float | None  # None where it could not be compared
    max_rel: float | None  # of the stored one's largest value
    atol: float
    ok: bool


@dataclass(frozen=True)
class FixtureCheck:
    """One fixture: "pass", "fail" (numbers differ) or "error" (could not be run)."""

    name: str
    family: str
    status: str
    outputs: tuple[OutputCheck, ...]
    error: str | None = None


def check_folders(folders: Sequence[Path]) -> list[FixtureCheck]:
    """Every fixture of the folders; raises RequestError where a folder has none."""
    fixtures = [fixture for folder in folders for fixture in read_fixtures(folder)]
    return [check(fixture) for fixture in fixtures]


def check(fixture: Fixture) -> FixtureCheck:
    """Run one fixture on the CPU in float32, on one thread as the stored numbers were made."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        runner = RUNNERS.get(fixture.family, {}).get(fixture.runner)
        if runner is None:
            raise ValueError(f"there is no runner {fixture.runner!r} of the family {fixture.family!r}")
        with torch.no_grad():
            found = runner(fixture)
        stored = fixture.arrays()
        outputs = tuple(_compare(name, stored[name], found.get(name), fixture) for name in fixture.outputs)
    except Exception as error:  # whatever goes wrong in a fixture from elsewhere belongs into the report
        log.info("%s cannot be run", fixture.name, exc_info=True)
        return FixtureCheck(fixture.name, fixture.family, "error", (), f"{type(error).__name__}: {error}")
    finally:
        torch.set_num_threads(threads)
    missing = [name for name in fixture.outputs if name not in found]
    if missing:
        return FixtureCheck(fixture.name, fixture.family, "error", outputs, f"no output {', '.join(missing)}")
    return FixtureCheck(fixture.name, fixture.family, "pass" if all(x.ok for x in outputs) else "fail", outputs)


def report(checks: Sequence[FixtureCheck]) -> dict[str, object]:
    """What `--json` writes."""
    count = {status: sum(check.status == status for check in checks) for status in ("pass", "fail", "error")}
    return {
        "passed": count["pass"],
        "failed": count["fail"],
        "errors": count["error"],
        "fixtures": [asdict(check) for check in checks],
    }


def rows(checks: Sequence[FixtureCheck]) -> list[dict[str, object]]:
    """What is printed: one row an output, and one for a fixture that could not be run."""
    found: list[dict[str, object]] = []
    for check in checks:
        for output in check.outputs:
            row = {"fixture": check.name, "output": output.name, "max_abs": output.max_abs, "max_rel": output.max_rel}
            found.append({**row, "tolerance": output.atol, "ok": "yes" if output.ok else "NO"})
        if check.error is not None:
            found.append({"fixture": check.name, "output": check.error, "ok": "NO"})
    return found


def _compare(name: str, stored: Tensor, found: Tensor | None, fixture: Fixture) -> OutputCheck:
    if found is None or found.shape != stored.shape:
        return OutputCheck(name, None, None, fixture.atol, False)
    a, b = stored.double(), found.detach().double()
    # NaN where the stored one is NaN too (an empty class has no score) counts as equal, infinities likewise.
    same = (a == b) | (a.isnan() & b.isnan())
    difference = torch.where(same, 0.0, (a - b).abs())
    largest = a[a.isfinite()].abs().max().item() if a.isfinite().any() else 0.0
    worst = difference.max().item() if difference.numel() else 0.0
    ok = worst <= fixture.atol + fixture.rtol * largest  # False where `worst` is NaN
    return OutputCheck(name, worst, worst / largest if largest else None, fixture.atol, ok)
