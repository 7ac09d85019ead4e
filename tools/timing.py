"""For the benchmarks: candidates that run in turn, and tables of their speeds as ratios."""

from __future__ import annotations

import statistics
import time
from typing import Callable, TypeVar

from rdn import cli

Key = TypeVar('Key')


def alternate(candidates: dict[Key, Callable[[], object]], rounds: int) -> dict[Key, float]:
    """Run candidates in turn, after one run of each to warm up.

    Args:
        candidates: functions by their names.
        rounds: how often each one is timed.

    Returns:
        The median seconds by the same names.
    """
    seconds: dict[Key, list[float]] = {name: [] for name in candidates}
    for way in candidates.values():
        way()
    for _ in cli.progress(range(rounds), 'round'):
        for name, way in candidates.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def print_rates(title: str, medians: dict[str, float], unit: str, amount: float, baseline: str) -> None:
    """Print a table with a row for each candidate: its rate, and its speed relative to the baseline's.

    Args:
        title: of the table.
        medians: seconds by the candidates' names.
        unit: of the rates, for example images/s.
        amount: how many units a candidate processes in one run.
        baseline: a candidate's name.
    """
    rows = [('', unit, 'speed')]
    rows += [(name, f'{amount / s:.4g}', f'{medians[baseline] / s:.2f}') for name, s in medians.items()]
    print(f'\n{title}\n{cli.format_table(rows)}')
