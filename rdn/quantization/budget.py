"""Limit the time of a run: end stages that take too long, and show one progress bar with the time left."""

from __future__ import annotations

import time
from typing import Callable, Iterable, Iterator, Sized, TypeVar

from rdn import cli

Item = TypeVar('Item')


class Budget:
    """A time limit for all stages of a run, which starts with the creation of this object.

    If no stage ends early, the result of the run does not depend on the machine's speed.

    Attributes:
        seconds: the limit.
        notes: one phrase for each stage that ended early, such as '6 of 24 photographs calibrated'.
    """

    def __init__(self, seconds: float, units: float, clock: Callable[[], float] = time.monotonic):
        """Start the time and the bar.

        Args:
            seconds: the limit.
            units: units of work in all stages together, which are the full length of the bar.
            clock: function that returns the time in seconds.
        """
        self.seconds, self.notes = seconds, []  # type: float, list[str]
        self._clock, self._start = clock, clock()
        self._bar = cli.bar(units)

    def __enter__(self) -> Budget:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def stage(
        self, name: str, items: Iterable[Item], units: float, until: float = 1.0, at_least: int = 1
    ) -> Iterator[Item]:
        """Yield the items, until the stage's part of the budget is used up.

        Args:
            name: the items and what happens to them, for the bar and the notes: 'photographs calibrated'.
            items: the items of the stage. If they have a length, the note contains it.
            units: units of work for each item.
            until: fraction of the budget, 0...1, at which the stage ends.
            at_least: number of items to yield even if the budget is used up.
        """
        done = 0
        for item in items:
            if done >= at_least and self._clock() - self._start > self.seconds * until:
                total = f' of {len(items)}' if isinstance(items, Sized) else ''
                self.notes.append(f'{done}{total} {name}')
                return
            self._bar.total = max(self._bar.total, self._bar.n + units)
            self._bar.set_description(name)
            yield item
            self._bar.update(units)
            done += 1
