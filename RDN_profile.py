"""Guide 3.3: where the time goes, from msprof's op_statistic_*.csv and op_summary_*.csv (CANN 5 to 8).

    python3 RDN_profile.py PROF_000001
    python3 RDN_profile.py op_statistic_0_1.csv op_summary_0_1.csv

prints the operators by time, what stands out, and the command that puts the shapes of slow transposes on the
toolkit's white list. Before and after it, side by side:

    python3 RDN_profile.py PROF_000001 --after PROF_000002

A folder is searched with all that is below it. RDN_infer.py -profiling=DIR writes such files where there is no device.
"""

import collections
import shlex

from rdn import cli
from rdn.ascend import msprof

STANDS_OUT = 20.0  # percent of the time

Profile = collections.namedtuple('Profile', 'rows summary')  # Statistics; path of the op_summary file or None


def read_profile(paths):
    """The Profile of files or folders. Without an op_statistic file it is counted from the op_summary file."""
    statistic, summary = msprof.find_profile(paths)
    rows = msprof.read_statistics(statistic) if statistic else msprof.statistics_of(msprof.read_tasks(summary))
    return Profile(rows, summary)


def print_table(header, rows):
    """The texts to the left, the numbers to the right."""
    rows = [[cell if isinstance(cell, str) else '%.7g' % cell for cell in row] for row in rows]
    numeric = [column for column, cells in enumerate(zip(*rows)) if all(map(is_number, cells))]
    print('\n'.join(cli.format_columns([header] + rows, numeric)))


def is_number(text):
    return text.replace('.', '').replace('e+', '').replace('-', '').isdigit() or text == '-'


def print_profile(profile):
    """The guide's table, longest time first."""
    header = msprof.STATISTIC_HEADER.split(',')
    rows = [['-' if cell in (None, '') else cell for cell in row] for row in profile.rows]
    if all(row[0] == '-' for row in rows):  # CANN 7 and later name no model
        header, rows = header[1:], [row[1:] for row in rows]
    print_table(header, rows)


def print_findings(profile):
    """What takes more than STANDS_OUT percent and is no convolution; for transposes, what to do."""
    totals = total_by_type(profile.rows)
    ratios = collections.OrderedDict((name, 100 * us / sum(totals.values())) for name, us in totals.items())
    striking = [name for name, ratio in ratios.items() if ratio > STANDS_OUT and not is_convolution(name)]
    print()
    if not striking:
        print('Nothing stands out: no operator but the convolutions takes more than %g %% of the time.' % STANDS_OUT)
        return
    for op_type in striking:
        print('%s stands out: %.1f %% of the time.' % (op_type, ratios[op_type]))
    if not any(op_type in msprof.TRANSPOSES for op_type in striking):
        return
    if not profile.summary:
        print('For the shapes to white-list, name its op_summary_*.csv too.')
        return
    shapes = msprof.slow_transposes(msprof.read_tasks(profile.summary))
    if not shapes:
        print(
            '%s says no input shapes of it: read them from the model, patch_transpose_whitelist.py --onnx.'
            % profile.summary
        )
        return
    print('Put the input shape of the slow ones on the white list, and convert the model again:')
    for shape in shapes:
        print('    %s' % shape)
    print('    python3 patch_transpose_whitelist.py --profile %s' % shlex.quote(profile.summary))


def print_comparison(before, after):
    """Each operator's total time before and after, and how many times faster it became in a run of the model."""
    totals, convolutions = [], []
    for profile in (before, after):
        totals.append(total_by_type(profile.rows))
        convolutions.append(sum(row.count for row in profile.rows if is_convolution(row.op_type)))
    # A run has the same convolutions before and after; so they tell how many runs a profile holds.
    runs = convolutions[1] / convolutions[0] if all(convolutions) else 1
    names = sorted(set(totals[0]) | set(totals[1]), key=lambda name: -max(total.get(name, 0) for total in totals))
    rows = [(name, totals[0].get(name), totals[1].get(name)) for name in names]
    rows.append(('all', sum(totals[0].values()), sum(totals[1].values())))
    header = ['OP Type', 'before(us)', 'after(us)', 'speed-up']
    print_table(
        header, [[name, a or '-', b or '-', '%.2f' % (a / b * runs) if a and b else '-'] for name, a, b in rows]
    )
    if runs != 1:
        print('The second profile holds %.4g times the runs of the first: the speed-up is that of a run.' % runs)


def total_by_type(rows):
    """Operator type -> microseconds, in the order of the rows."""
    totals = collections.OrderedDict()
    for row in rows:
        totals[row.op_type] = totals.get(row.op_type, 0) + row.total
    return totals


def is_convolution(op_type):
    return 'conv' in op_type.lower()


def main(argv=None):
    args = parse_args(argv)
    profile = read_profile(args.profile)
    if args.after:
        after = read_profile(args.after)
        print_comparison(profile, after)
        profile = after
    else:
        print_profile(profile)
    print_findings(profile)


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument('profile', nargs='+', help="msprof's folder, or its op_statistic and op_summary files")
    parser.add_argument('--after', nargs='+', metavar='PROFILE', help='a later profile to compare with')
    return parser.parse_args(argv)


if __name__ == '__main__':
    cli.run(main)
