"""The table of a comparison, a stage a row, and the first stage that is out of line."""

from __future__ import annotations

import collections
from typing import NamedTuple, Sequence

from rdn import cli, escaping
from rdn.accuracy import agreement
from rdn.comparison import explanation, measurement

import numpy as np

MARK = '>'  # before the first stage that is out of line
PAGE = 'docs/accuracy.md'


class StageRow(NamedTuple):
    """A stage over all images.

    Attributes:
        name: of the stage.
        largest: absolute difference of any image.
        relative: error, the mean over the inputs.
        cosine: the lowest of any input.
        share: the relative error of this stage alone; of the worst input, nan if it is known of none.
        predicted: what rounding to the device's precision would make of that input.
        so_far: dB that the result changes by the device's taps up to this one; the mean over the images.
        here: dB of them that this stage adds.
        kind: of the difference, in words; empty where rounding explains it.
    """

    name: str
    largest: float
    relative: float
    cosine: float
    share: float
    predicted: float
    so_far: float
    here: float
    kind: str


def rows_of(measured: measurement.Comparison) -> list[StageRow]:
    """Return the rows, in the network's order."""
    rows, before = [], 0.0
    for index, name in enumerate(measured.names):
        errors = measured.shares[name]
        so_far = float(np.mean([_change(loss.so_far[index], loss.reference) for loss in measured.losses]))
        known = [error for error in errors if not np.isnan(error.share)]
        worst = max(known or errors, key=lambda error: error.share / (error.predicted or 1))
        relative = float(np.mean([error.relative for error in errors]))
        cosine = min(error.cosine for error in errors)
        largest = max((error.largest for error in errors), key=lambda value: (np.isnan(value), value))
        figures = largest, relative, cosine, worst.share, worst.predicted
        rows.append(StageRow(name, *figures, so_far, so_far - before, escaping.escape(kind_of(errors))))
        before = so_far
    return rows


def _change(psnr: float, reference: float) -> float:
    return 0.0 if psnr == reference else psnr - reference


def _format_change(decibels: float) -> str:
    """With its sign, which a change that rounds to 0 does not have."""
    return '0.0000' if abs(decibels) < 5e-5 else f'{decibels:+.4f}'.replace('+nan', 'nan')


def _is_kept(losses: Sequence[measurement.ImageLoss]) -> bool:
    """Whether the results are within the limits of RDN_postprocess.py's verdict."""
    changes = [_change(loss.so_far[-1], loss.reference) for loss in losses]
    limits = agreement.MAX_LOSS, agreement.MAX_IMAGE_LOSS
    return agreement.Verdict(float(np.mean(changes)), max(changes, key=abs), *limits).is_kept


def kind_of(errors: Sequence[measurement.TapError]) -> str:
    """Return the kind of a stage's difference, from those of its inputs; empty if all are in line."""
    wrong = [error for error in errors if error.kind]
    if not wrong:
        return ''
    owners = {error.stem: measurement.image_of(error, errors) for error in wrong}
    moved = {stem: owner for stem, owner in owners.items() if owner}
    for stem, owner in moved.items():
        if moved.get(owner) == stem:
            return f'swapped images: {stem} and {owner}'
    if moved:
        stem, owner = next(iter(moved.items()))
        return f'wrong image: {stem} has the values of {owner}'
    kinds = [error.kind for error in wrong]
    explained = [kind for kind in kinds if not kind.startswith(explanation.UNEXPLAINED)]
    kind = collections.Counter(explained or kinds).most_common(1)[0][0]
    if len(wrong) == 1 and len(errors) > 1:
        return f'one image only: {wrong[0].stem}: {kind}'
    return kind


def first_out_of_line(rows: Sequence[StageRow]) -> StageRow | None:
    """Return the first row whose difference rounding does not explain; None if there is none."""
    return next((row for row in rows if row.kind), None)


def format_rows(rows: Sequence[StageRow], precision: str) -> str:
    """Format the table for the console, a stage a line. precision: of the device's arithmetic."""
    first = first_out_of_line(rows)
    head = 'tap', 'largest error', 'relative', 'cosine', 'own error', f'{precision} rounding', 'dB so far', 'dB here'
    cells = [(*head, 'kind of difference')]
    for row in rows:
        mark = f'{MARK} ' if row is first else '  '
        errors = f'{row.largest:.2e}', f'{row.relative:.2e}', f'{row.cosine:.7f}', f'{row.share:.1e}'
        decibels = _format_change(row.so_far), _format_change(row.here)
        cells.append((mark + row.name, *errors, f'{row.predicted:.1e}', *decibels, row.kind))
    return cli.format_table(cells)


def describe(rows: Sequence[StageRow], measured: measurement.Comparison) -> str:
    """Say what the device's result loses, which stage is the first out of line, and what to do next: a line each."""
    reference = float(np.mean([loss.reference for loss in measured.losses]))
    images = cli.count(len(measured.losses), 'image')
    lines = [
        f'result  {reference + rows[-1].so_far:.4f} dB, PyTorch {reference:.4f} dB, '
        f'change {_format_change(rows[-1].so_far)} dB, mean of {images}'
    ]
    first = first_out_of_line(rows)
    if first:
        lines.append(f'verdict {first.name} is the first stage out of line: {first.kind}')
        lines.append(f'next    {PAGE} has the cure for each kind of difference')
    else:
        lines.append(f'verdict no stage is out of line: the errors are those of rounding to {measured.precision}')
        if not _is_kept(measured.losses):
            lines.append(f'next    {measured.precision} alone costs too much here: choose a finer precision, {PAGE}')
    return '\n'.join(lines)
