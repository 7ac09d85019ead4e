"""Guide 3.3: show which operators take the time, from msprof's op_statistic_*.csv and op_summary_*.csv (CANN 5 to 9).

It also reads op_statistic.csv and kernel_details.csv from PyTorch's profiler on Ascend (torch_npu).

    python3 RDN_profile.py PROF_000001
    python3 RDN_profile.py op_statistic_0_1.csv op_summary_0_1.csv

The script prints the operators by time, which of them take unusually long, and the remedy: for slow transposes, the
command that adds their shapes to the toolkit's white list. This compares profiles from before and after a change:

    python3 RDN_profile.py PROF_000001 --after PROF_000002

A folder is searched with its subfolders. If it contains several PROF_* or *_ascend_pt folders, the newest is used.
Without a device, RDN_infer.py -profiling=DIR writes such files.
"""

from __future__ import annotations

import os
import shlex
from typing import NamedTuple, Sequence

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from rdn import cli
from rdn.profiling import msprof

STANDS_OUT_PERCENT = 20.0  # of the time
# Why an operator that only moves data takes time, and the remedy.
ADVICE = {
    'TransData': 'It converts the layout before or after an operator that needs another one. Next to a slow '
    'TransposeD, the white list removes both, as in the guide. Otherwise export without a transpose: '
    'RDN_pth2onnx.py --upsample=deconv.',
    'Cast': 'It converts between fp32 and fp16, the precision of atc. Two are normal, at the input and the output. '
    'If there are more, an operator supports only one of the two: look for it next to them in op_summary.',
    'DepthToSpace': 'It is the pixel shuffle of opset 11 and later. Export at opset 9 (RDN_pth2onnx.py --opset 9) or '
    'with a transposed convolution instead (--upsample=deconv).',
}
TRANSPOSED = ('transpose', 'deconv', 'backprop')  # in the types of transposed convolutions


class Profile(NamedTuple):
    """A profile.

    Attributes:
        rows: the operators, longest total time first.
        summaries: the paths of the op_summary files; may be empty.
    """

    rows: list[msprof.Statistic]
    summaries: list[str]


def read_profile(paths: Sequence[str]) -> Profile:
    """Read the profile in files or folders. Without an op_statistic file, it is computed from the op_summary file."""
    statistics, summaries = msprof.find_profile(paths)
    if statistics:
        return Profile(msprof.read_statistics(statistics), summaries)
    return Profile(msprof.statistics_of(msprof.read_tasks(*summaries), summaries[0]), summaries)


def format_cell(value: str | float | None) -> str:
    """Return the text of a cell: a number with seven digits, and `-` for an unknown value."""
    if value in (None, ''):
        return '-'
    return value if isinstance(value, str) else f'{value:.7g}'


def format_profile(profile: Profile) -> str:
    """Return the guide's table, longest time first. With several devices, it has a column for the device."""
    rows = [[*msprof.STATISTIC_HEADER.split(','), 'Device']]
    rows += [[format_cell(cell) for cell in row] for row in profile.rows]
    has_model = any(row.model is not None for row in profile.rows)  # CANN 7 and later do not name it
    has_devices = len({row.device for row in profile.rows}) > 1
    first, last = 0 if has_model else 1, None if has_devices else -1
    return cli.format_table([row[first:last] for row in rows])


def find_striking(profile: Profile) -> dict[str, float]:
    """Return the operator types, except convolutions, that take more than STANDS_OUT_PERCENT of the time.

    Returns:
        Operator type -> percent of the time.
    """
    totals = total_by_type(profile.rows)
    percent = {op_type: 100 * us / sum(totals.values()) for op_type, us in totals.items()}
    return {op_type: x for op_type, x in percent.items() if x > STANDS_OUT_PERCENT and not is_convolution(op_type)}


def advise(profile: Profile) -> list[str]:
    """Return lines about the operators that take unusually long: which, why, and the remedy."""
    striking = find_striking(profile)
    if not striking:
        return [
            f'Nothing stands out: apart from convolutions, no operator takes more than {STANDS_OUT_PERCENT:g} % of '
            'the time.'
        ]
    lines = []
    for op_type, percent in striking.items():
        lines.append(f'{op_type} stands out: {percent:.1f} % of the time.')
        lines += [f'    {ADVICE[op_type]}'] if op_type in ADVICE else []
    if any(op_type in msprof.TRANSPOSES for op_type in striking):
        lines += advise_on_transposes(profile.summaries)
    return lines


def advise_on_transposes(summaries: Sequence[str]) -> list[str]:
    """Return lines that say whether the transposes in op_summary files are the slow kind, and the remedy."""
    if not summaries:
        return [
            'To find out whether its transposes are slow, and for which input shapes, run this again and add the '
            "profile's op_summary_*.csv (or kernel_details.csv)."
        ]
    if not any(task.shapes for task in msprof.read_tasks(*summaries) if task.op_type in msprof.TRANSPOSES):
        return [
            f'{summaries[0]} has no input shapes for it: read them from the model, patch_transpose_whitelist.py --onnx.'
        ]
    shapes = msprof.slow_transposes(msprof.read_tasks(*summaries))
    if not shapes:
        return [
            f'It moves {msprof.SLOW_ELEMENTS:g} elements per microsecond or more, so it is already the fast operator, '
            'and the white list would not change it. RDN_pth2onnx.py --upsample=deconv exports without it.'
        ]
    return [
        'The slow transposes have these input shapes:',
        *(f'    {shape}' for shape in shapes),
        'From about CANN 5.1 on, the white list has no effect: export without them, RDN_pth2onnx.py --upsample=deconv.',
        'On older versions, add the shapes to the white list, and convert the model again:',
        f'    python3 patch_transpose_whitelist.py --profile {" ".join(map(shlex.quote, summaries))}',
    ]


def count_calls(profile: Profile, part: str) -> int:
    """Return the number of calls of the operators whose type contains `part`, without transposed convolutions."""
    types = [row for row in profile.rows if part in row.op_type.lower()]
    return sum(row.calls for row in types if not any(word in row.op_type.lower() for word in TRANSPOSED))


def count_runs(before: Profile, after: Profile) -> float:
    """Return the number of runs in the second profile, divided by that in the first.

    A run of a model always has the same number of convolutions, so their numbers show the ratio.

    Raises:
        ValueError: the profiles are of different models: their convolutions and concatenations have different ratios.
    """
    ratios = []
    for part in ('conv', 'concat'):
        counts = count_calls(before, part), count_calls(after, part)
        if all(counts):
            ratios.append(counts[1] / counts[0])
    if len(ratios) == 2 and abs(ratios[0] - ratios[1]) > 1e-6 * ratios[0]:
        raise ValueError(
            'profiles of different models cannot be compared: '
            f'{count_calls(before, "conv")} and {count_calls(after, "conv")} convolutions, '
            f'{count_calls(before, "concat")} and {count_calls(after, "concat")} concatenations'
        )
    return ratios[0] if ratios else 1


def format_comparison(before: Profile, after: Profile) -> str:
    """Return a table: the total time of each operator before and after, and its speed-up per run of the model."""
    old, new = total_by_type(before.rows), total_by_type(after.rows)
    runs = count_runs(before, after)
    names = sorted(set(old) | set(new), key=lambda name: -max(old.get(name, 0), new.get(name, 0)))
    times = [(name, old.get(name), new.get(name)) for name in names]
    times.append(('all', sum(old.values()), sum(new.values())))
    rows = [['OP Type', 'before(us)', 'after(us)', 'speed-up']]
    for name, a, b in times:
        rows.append([name, format_cell(a or None), format_cell(b or None), f'{a / b * runs:.2f}' if a and b else '-'])
    text = cli.format_table(rows)
    if runs != 1:
        text += f'\nThe second profile contains {runs:.4g} times as many runs as the first: the speed-up is per run.'
    return text


def total_by_type(rows: Sequence[msprof.Statistic]) -> dict[str, float]:
    """Return the total time by operator type: type -> microseconds, in the order of the rows."""
    totals: dict[str, float] = {}
    for row in rows:
        totals[row.op_type] = totals.get(row.op_type, 0) + row.total
    return totals


def is_convolution(op_type: str) -> bool:
    """Return whether an operator type is a convolution."""
    return 'conv' in op_type.lower()


def main(argv=None):
    args = parse_args(argv)
    for path in [*args.profile, *(args.after or [])]:
        if os.path.isdir(path) and msprof.newest_profile(path) != path:
            cli.say(f'{path}: using the newest of its profiles, {msprof.newest_profile(path)}')
            print()
    profile = read_profile(args.profile)
    if args.after:
        after = read_profile(args.after)
        print(format_comparison(profile, after))
        profile = after
    else:
        print(format_profile(profile))
    print()
    for line in advise(profile):
        cli.say(line)


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument(
        'profile',
        nargs='+',
        help="msprof's or torch_npu's folder, or its op_statistic and op_summary (kernel_details) files",
    )
    parser.add_argument('--after', nargs='+', metavar='PROFILE', help='a later profile to compare with')
    return parser.parse_args(argv)


if __name__ == '__main__':
    cli.run(main)
