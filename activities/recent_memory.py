"""What somebody asked for lately, and nothing else: `RecentMemory`.

For what costs a repetition when it is forgotten, and would grow with all that ever happened if it were not.
"""

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class RecentMemory(Generic[K, V]):
    """A mapping that forgets what was neither set nor asked for during a whole turn and since its end."""

    def __init__(self) -> None:
        """Empty, in its first turn."""
        self._now: dict[K, V] = {}
        self._before: dict[K, V] = {}

    def __setitem__(self, key: K, value: V) -> None:
        self._before.pop(key, None)
        self._now[key] = value

    def __contains__(self, key: K) -> bool:
        return self.get(key) is not None

    def __len__(self) -> int:
        return len(self._now) + len(self._before)

    def get(self, key: K) -> V | None:
        """The value, which stays in memory for that; None when it is not there."""
        if key in self._before:
            self._now[key] = self._before.pop(key)
        return self._now.get(key)

    def turn(self) -> None:
        """The next turn begins."""
        self._before, self._now = self._now, {}

    def clear(self) -> None:
        """Forget everything."""
        self._before, self._now = {}, {}
