"""What modules gave and took during a forward pass, by hooks: the models themselves stay free of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn


@contextmanager
def recorded(outputs: Mapping[str, nn.Module], inputs: Mapping[str, nn.Module] | None = None) -> Iterator[dict[str, Tensor]]:
    """A dictionary that fills with the last output (or first input) of each module, under the given names."""
    found: dict[str, Tensor] = {}

    def keep(name: str, what: str) -> object:
        def hook(_module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
            found[name] = given[0] if what == "input" else output

        return hook

    wanted = [(module, name, "output") for name, module in outputs.items()]
    wanted += [(module, name, "input") for name, module in (inputs or {}).items()]
    handles = [module.register_forward_hook(keep(name, what)) for module, name, what in wanted]  # type: ignore[arg-type]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
