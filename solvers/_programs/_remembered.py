"""A few results kept by key: the oldest are forgotten, so that a process that makes ever new ones does not grow."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """The `size` results that were last asked for."""

    def __init__(self, size: int):
        self._size, self._known = size, OrderedDict[K, V]()

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The result of this key, made if it is not there."""
        try:
            value = self._known.pop(key)
        except KeyError:
            value = make()
        self._known[key] = value
        while len(self._known) > self._size:
            self._known.popitem(last=False)
        return value
