"""Reading, computing and writing side by side: one thread each, a few tiles in between."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Read = TypeVar("Read")

AHEAD = 1  # tiles read before they are asked for, and tiles waiting to be written: enough to keep all at work


@contextmanager
def read_ahead(items: Iterable[Item], read: Callable[[Item], Read]) -> Iterator[Iterator[tuple[Item, Read]]]:
    """(item, read(item)) in order, each read in one other thread; after the block no read is at work any more."""
    waiting: deque[tuple[Item, Future[Read]]] = deque()
    with ThreadPoolExecutor(1, "reader") as pool:  # one: GDAL's handles belong to one thread at a time

        def stream() -> Iterator[tuple[Item, Read]]:
            for item in items:
                waiting.append((item, pool.submit(read, item)))
                if len(waiting) > AHEAD:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()

        try:
            yield stream()
        finally:
            for _, future in waiting:
                future.cancel()


class WriteBehind(Generic[Item]):
    """Writes in one other thread; an error there is raised at the next `put` or at the end."""

    def __init__(self, write: Callable[[Item], Any]) -> None:
        self._write = write
        self._pool = ThreadPoolExecutor(1, "writer")
        self._waiting: deque[Future[Any]] = deque()

    def put(self, item: Item) -> None:
        self._waiting.append(self._pool.submit(self._write, item))
        while len(self._waiting) > AHEAD:
            self._waiting.popleft().result()

    def __enter__(self) -> WriteBehind[Item]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            while self._waiting and kind is None:
                self._waiting.popleft().result()
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)
