"""For the benchmarks: candidates that run in turn, and tables of their speeds as ratios."""

from __future__ import annotations

import statistics
import time
from typing import Callable, TypeVar

from rdn import cli

Key = TypeVar('Key')


def alternate(candidates: dict[Key, Callable[[], object]], rounds: int) -> dict[Key, float]:
    """Run each of the candidates (name -> function) in turn, `rounds` times; name -> median seconds."""
    seconds: dict[Key, list[float]] = {name: [] for name in candidates}
    for way in candidates.values():
        way()  # warm up
    for _ in cli.progress(range(rounds), 'round'):
        for name, way in candidates.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def print_rates(title: str, medians: dict[str, float], unit: str, amount: float, baseline: str) -> None:
    """A row for each way: its rate, and its speed beside the baseline's."""
    rows = [('', unit, 'speed')]
    rows += [(name, f'{amount / s:.4g}', f'{medians[baseline] / s:.2f}') for name, s in medians.items()]
    print(f'\n{title}\n{cli.format_table(rows)}')
