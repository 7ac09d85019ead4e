"""Format the table of a comparison, with one row for each stage, and name the first stage that is out of line."""

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
    """The figures of a stage over all images.

    Attributes:
        name: name of the stage.
        largest: largest absolute difference, over all inputs.
        relative: relative error, mean over the inputs.
        cosine: lowest cosine similarity of any input.
        share: relative error of this stage alone, for the worst input; nan if it is not known for any input.
        predicted: share that rounding to the device's precision causes, for the same input.
        so_far: change of the result's PSNR if the device computes all stages up to this one, in dB; mean over the
            images.
        here: the part of `so_far` that this stage adds, in dB.
        kind: kind of the difference, in words; empty if rounding explains it.
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
    """Return a row for each stage, in the network's order."""
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
    """Format a change with its sign; without a sign if it rounds to 0."""
    return '0.0000' if abs(decibels) < 5e-5 else f'{decibels:+.4f}'.replace('+nan', 'nan')


def _is_kept(losses: Sequence[measurement.ImageLoss]) -> bool:
    """Return whether the results are within the limits of RDN_postprocess.py's verdict."""
    changes = [_change(loss.so_far[-1], loss.reference) for loss in losses]
    limits = agreement.MAX_LOSS, agreement.MAX_IMAGE_LOSS
    return agreement.Verdict(float(np.mean(changes)), max(changes, key=abs), *limits).is_kept


def kind_of(errors: Sequence[measurement.TapError]) -> str:
    """Return the kind of a stage's difference, in words.

    Args:
        errors: the stage's errors, one for each input.

    Returns:
        The most frequent kind, or that the taps belong to other images; '' if rounding explains all errors.
    """
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
    """Return the first row whose difference rounding does not explain; None if rounding explains all."""
    return next((row for row in rows if row.kind), None)


def format_rows(rows: Sequence[StageRow], precision: str) -> str:
    """Format the table for the console, with one line for each stage.

    Args:
        rows: the stages, in order.
        precision: precision of the device's arithmetic, for a column header.
    """
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
    """Return up to three lines: the result's loss, the first stage that is out of line, and what to do next.

    Args:
        rows: the stages, in order.
        measured: the comparison.
    """
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
