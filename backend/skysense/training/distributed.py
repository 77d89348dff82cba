"""Processes that train together: the one place that knows ranks.

One process alone is a world of one rank; `torchrun` makes it larger, and the same code runs. Parameters are sharded over
the ranks (FSDP2), so that a model that fits no single device trains too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together."""

    rank: int = 0
    world: int = 1
    in_background: dist.ProcessGroup | None = None  # for what meets while the others train

    @property
    def first(self) -> bool:
        """Whether this one writes logs and files."""
        return self.rank == 0

    def gather(self, x: Tensor) -> Tensor:
        """(...) of this rank -> (ranks, ...) of all; gradients pass where there are any."""
        if self.world == 1:
            return x[None]
        gathered: Tensor = _Gather.apply(x.contiguous(), self.rank, self.world)  # type: ignore[no-untyped-call]
        return gathered

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether any rank says so: all of them then do the same."""
        return bool(self.gather(torch.tensor(float(flag), device=device)).any())

    def meet(self, device: torch.device) -> None:
        """Wait for all."""
        self.gather(torch.zeros((), device=device))

    def shard(self, module: nn.Module, blocks: Iterable[nn.Module], methods: Iterable[str] = ()) -> None:
        """Spread a module's parameters over the ranks, block by block; `methods` are called beside `forward`."""
        if self.world == 1:
            return
        kind = next(module.parameters()).device.type
        mesh = init_device_mesh(kind, (self.world,))
        for block in blocks:
            fully_shard(block, mesh=mesh, reshard_after_forward=True)
        fully_shard(module, mesh=mesh, reshard_after_forward=True)  # the teacher has no backward that would do it
        for method in methods:
            register_fsdp_forward_method(module, method)

    def leave(self) -> None:
        if self.world > 1:
            dist.destroy_process_group()


class _Gather(torch.autograd.Function):
    """(...) -> (ranks, ...). What is done with a rank's part anywhere sums up to its gradient."""

    @staticmethod
    def forward(context: Any, x: Tensor, rank: int, world: int) -> Tensor:
        context.rank = rank
        parts = [torch.empty_like(x) for _ in range(world)]
        dist.all_gather(parts, x)
        return torch.stack(parts)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        total = gradients[0].contiguous()
        dist.all_reduce(total)
        return total[context.rank], None, None


def join() -> Ranks:
    """As torchrun says in the environment; one rank without it."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Ranks()
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    return Ranks(dist.get_rank(), dist.get_world_size(), dist.new_group(backend="gloo"))


def local_device(kind: str) -> torch.device:
    """This process's device: torchrun counts the processes of a machine."""
    return torch.device(kind, int(os.environ.get("LOCAL_RANK", "0"))) if kind == "cuda" else torch.device(kind)


def whole(x: Tensor) -> Tensor:
    """A parameter with the parts of all ranks; every rank has to ask."""
    return x.full_tensor() if isinstance(x, DTensor) else x
