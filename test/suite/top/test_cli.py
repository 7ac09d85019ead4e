"""rdn/cli.py: a progress bar while the wall clock jumps."""

import io
import itertools
import re
import time

from rdn import cli

import pytest


class Terminal(io.StringIO):
    """A terminal that records its output."""

    def isatty(self):
        return True


@pytest.mark.parametrize('step', [-3600, 3600])
def test_a_bar_shows_no_jump_of_the_wall_clock(monkeypatch, step):
    jumping = itertools.count(1e9, step)
    for module in ('tqdm.std.time', 'time.time'):
        monkeypatch.setattr(module, lambda: next(jumping))
    console = Terminal()
    with cli.bar(4, file=console) as bar:
        for _ in range(3):
            time.sleep(0.15)  # longer than tqdm waits before it draws the bar again
            bar.update(1)
    shown = console.getvalue()
    assert '75%' in shown and '-' not in shown, shown
    assert set(re.findall(r'[0-9:]{5,}', shown)) <= {'00:00', '00:01'}, shown
