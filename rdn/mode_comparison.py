"""The walk of run.sh --compare-modes: measure every variant of the graph in every precision mode.

For each row of the table, the model is converted if the device needs that, run, and compared with PyTorch. A failure is
also a row. The table is written after each row, so an interrupted comparison keeps the rows that it has measured.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import time
from typing import Callable, NamedTuple, Sequence

from rdn import cli, configuration, files, run_record, walk_steps
from rdn.accuracy import agreement, result
from rdn.devices import base, logs, outputs, runner

TABLE = f'{configuration.MODES}/modes.md'
HEAD = ('', 'graph', 'mode', 'loss dB', 'worst image', 'images/s', 'accuracy')
MARK = '>'  # before the fastest mode within the limits
INTERRUPTED = 130  # exit status after Ctrl-C
TERMINATED = (129, 143)  # exit status after SIGHUP or SIGTERM
BUDGET_SECONDS = 120  # for making the eight-bit model; with more time it may lose less accuracy
CALIBRATION_IMAGES = 4  # of the five photographs of sample_images.py; the fifth is for the trials


class GraphVariant(NamedTuple):
    """A variant of the graph. All variants compute the same function.

    Attributes:
        title: the name on the console.
        name: the name in file names; empty for the guide's graph.
        flags: the flags of RDN_pth2onnx.py that export it.
    """

    title: str
    name: str
    flags: Sequence[str]


GRAPHS = (
    GraphVariant('shuffle, concat', '', ()),
    GraphVariant('deconv, concat', 'deconv', ('--upsample=deconv',)),
    GraphVariant('shuffle, split', 'split', ('--dense=split',)),
    GraphVariant('deconv, split', 'deconv_split', ('--upsample=deconv', '--dense=split')),
)
QUANTIZED = 'quick_int8'  # in file names: made in BUDGET_SECONDS, unlike the user's own int8 model


class ModeRow(NamedTuple):
    """A row of the table: a variant of the graph in a precision mode, and its results.

    Attributes:
        graph: the variant of the graph.
        mode: the device's precision mode.
        verdict: the verdict on accuracy; None if the conversion or a run failed.
        rate: images/s without reading and writing files; 0 after a failure.
        reason: the reason of a failure; empty if nothing failed.
    """

    graph: GraphVariant
    mode: base.Mode
    verdict: agreement.Verdict | None = None
    rate: float = 0
    reason: str = ''

    @property
    def is_kept(self) -> bool:
        """Whether the model ran, and its accuracy is within the limits."""
        return self.verdict is not None and self.verdict.is_kept


def compare(plan: walk_steps.Plan) -> int:
    """Measure all rows, and print their table.

    Args:
        plan: the plan of the walk.

    Returns:
        The exit status: 0 if the accuracy of at least one mode is within the limits, else agreement.NOT_KEPT.

    Raises:
        ValueError: the converter cannot list its modes.
    """
    pairs = pairs_of(plan.machine.device.modes())
    print(f'{cli.count(len(pairs), "row")} to measure; {TABLE} always contains the finished ones', flush=True)
    walk_steps.prepare(plan.config, plan.dataset)
    failures: dict[GraphVariant, str] = {}
    rows: list[ModeRow] = []
    start = time.monotonic()
    try:
        for graph, mode in pairs:
            progress = describe_progress(len(rows), len(pairs), time.monotonic() - start)
            print(f'\n== {progress}: {graph.title} | {mode.title}', flush=True)
            if graph not in failures:
                failures[graph] = attempt(functools.partial(export, plan.config, graph))
            row = ModeRow(graph, mode, reason=failures[graph])
            rows.append(row if row.reason else measure(plan, graph, mode))
            os.makedirs(configuration.MODES, exist_ok=True)
            files.write_text(TABLE, cli.format_markdown(cells_of(rows)) + '\n')
    finally:  # after Ctrl-C or SIGTERM too
        if rows:
            print('\n' + '\n'.join(describe(plan, rows)), flush=True)
    return 0 if fastest(rows) else agreement.NOT_KEPT


def pairs_of(modes: Sequence[base.Mode]) -> list[tuple[GraphVariant, base.Mode]]:
    """Return all rows: each graph in each mode.

    Modes that do not depend on the graph, and the eight-bit mode, come only with the first graph.
    """
    first = GRAPHS[0]
    return [
        (graph, mode)
        for graph in GRAPHS
        for mode in modes
        if graph is first or mode.is_of_graph and not mode.is_quantized
    ]


def describe_progress(done: int, total: int, seconds: float) -> str:
    """Return the progress in words: 'row 3 of 14, about 5 minutes left'.

    Args:
        done: the number of finished rows.
        total: the number of all rows.
        seconds: the time that the finished rows took.
    """
    row = f'row {done + 1} of {total}'
    minutes = max(1, round(seconds / done * (total - done) / 60)) if done else 0
    return f'{row}, about {cli.count(minutes, "minute")} left' if done else row


def attempt(action: Callable[[walk_steps.Run], None]) -> str:
    """Call a function that may fail.

    Args:
        action: the function; its argument is a function that runs a command of the guide.

    Returns:
        The reason of the failure; empty if nothing failed.

    Raises:
        KeyboardInterrupt: Ctrl-C ended a command.
        SystemExit: SIGHUP or SIGTERM ended a command or this process.
    """
    said: list[str] = []
    try:
        action(functools.partial(walk_steps.run_and_keep, said))
        return ''
    except SystemExit as ended:  # a command failed; its last line is the reason
        if ended.code == INTERRUPTED:
            raise KeyboardInterrupt
        if ended.code in TERMINATED:
            raise
        return said[-1] if said else f'ended with status {ended.code}'
    except (OSError, ValueError) as error:
        reason = cli.describe_error(error)
        print(reason, file=sys.stderr, flush=True)
        return reason


def export(config: configuration.Configuration, graph: GraphVariant, run: walk_steps.Run) -> None:
    """Run step 3.1, export, for a variant of the graph; `run` runs the command."""
    walk_steps.export(config._replace(graph=graph.name), graph.flags, run)


def measure(plan: walk_steps.Plan, graph: GraphVariant, mode: base.Mode) -> ModeRow:
    """Convert and run an exported graph in a mode, judge its accuracy, and return the row."""
    rows: list[ModeRow] = []

    def action(run: walk_steps.Run) -> None:
        if mode.is_quantized:
            make_samples(run)
            walk_steps.check(run(*quantize_command(plan.config, graph)))
        rows.append(ModeRow(graph, mode, *run_and_judge(row_plan(plan, graph, mode), mode, run)))

    reason = attempt(action)
    return rows[0] if rows else ModeRow(graph, mode, reason=reason)


def row_plan(plan: walk_steps.Plan, graph: GraphVariant, mode: base.Mode) -> walk_steps.Plan:
    """Return the plan with the file names of a row."""
    name = QUANTIZED if mode.is_quantized else graph.name
    return plan._replace(config=plan.config._replace(graph=name, mode=mode.name))


def make_samples(run: walk_steps.Run) -> None:
    """Make the photographs that the eight-bit model is calibrated on, if they are missing."""
    if not os.path.isdir(walk_steps.SAMPLES):
        walk_steps.check(run('python3', 'sample_images.py', walk_steps.SAMPLES))


def quantize_command(config: configuration.Configuration, graph: GraphVariant) -> list[str]:
    """Return the command that makes the eight-bit model of a graph."""
    source, target = (config._replace(graph=name).onnx for name in (graph.name, QUANTIZED))
    places = [f'--input-file={source}', f'--calibration={walk_steps.SAMPLES}', f'--output-file={target}']
    return [
        'python3',
        'RDN_quantize.py',
        *places,
        f'--images={CALIBRATION_IMAGES}',
        f'--budget={BUDGET_SECONDS}',
    ]


def job_of(plan: walk_steps.Plan, mode: base.Mode, run: walk_steps.Run) -> base.Job:
    """Return the inference job of a row; `run` runs its commands."""
    machine, [batch_size] = plan.machine, plan.batch_sizes

    def step(*command: str) -> None:
        walk_steps.check(run(*command))

    flags = () if machine.device.converter else mode.flags
    folder = plan.config.result_folder(batch_size)
    return base.Job(plan.config, batch_size, machine.device_id, machine.chip, folder, step, flags, mode.is_slow)


def run_and_judge(
    plan: walk_steps.Plan, mode: base.Mode, run: walk_steps.Run
) -> tuple[agreement.Verdict | None, float]:
    """Convert the model if the device needs that, run it, and compare its outputs with PyTorch.

    Args:
        plan: the plan with the file names of the row.
        mode: the device's precision mode.
        run: runs a command of the guide.

    Returns:
        The verdict, and the speed in images/s.
    """
    job, machine = job_of(plan, mode, run), plan.machine
    folder = plan.config.result_folder(job.batch_size)
    model = machine.device.model(plan.config, job.batch_size)
    try:
        if machine.device.converter:
            assert machine.soc_version
            machine.device.convert(plan.config, job.batch_size, machine.soc_version, mode.flags)
        inferred = machine.device.infer_and_record(job)
    finally:
        if machine.device.converter:  # the models of all rows could fill a disk
            for path in (model, run_record.path_of(model)):
                with contextlib.suppress(FileNotFoundError):
                    os.remove(path)
    outputs.remove_others(folder, inferred)
    result_path = f'{folder}/{configuration.RESULT}'
    walk_steps.judge(plan, inferred, result_path, None, run)
    origin = result.read_origin(result_path)
    rate = logs.read(inferred.pure_speed or inferred.speed, logs.parse_speed).rate
    return origin.verdict if origin else None, rate


def fastest(rows: Sequence[ModeRow]) -> ModeRow | None:
    """Return the fastest row within the limits, or None if no row is within them."""
    return max((row for row in rows if row.is_kept), key=lambda row: row.rate, default=None)


def cells_of(rows: Sequence[ModeRow]) -> list[tuple[str, ...]]:
    """Return the cells of the table, its header first. A loss is positive, a gain negative."""
    best = fastest(rows)
    cells: list[tuple[str, ...]] = [HEAD]
    for row in rows:
        begin = MARK if row is best else '', row.graph.title, row.mode.title
        if row.verdict:
            losses = format_loss(row.verdict.change), format_loss(row.verdict.image_change)
            cells.append((*begin, *losses, f'{row.rate:.4g}', 'kept' if row.is_kept else 'not kept'))
        else:
            cells.append((*begin, '-', '-', '-', 'failed'))
    return cells


def format_loss(change: float) -> str:
    """Return a loss in dB with three decimals, and never as -0.000.

    Args:
        change: the change of the PSNR in dB, negative for a loss.
    """
    return f'{round(-change, 3) + 0.0:.3f}'


def describe(plan: walk_steps.Plan, rows: Sequence[ModeRow]) -> list[str]:
    """Return the last lines: the table, the failures, the fastest mode within the limits, and its commands."""
    limits = f'{agreement.MAX_LOSS:g} dB on average, {agreement.MAX_IMAGE_LOSS:g} dB on any image'
    lines = [cli.format_table(cells_of(rows)), f'limits     a loss of {limits}, against PyTorch in fp32']
    if any(row.mode.is_quantized and row.verdict for row in rows):
        lines.append(
            f'int8       made from {CALIBRATION_IMAGES} photographs in at most {BUDGET_SECONDS} s; '
            'RDN_quantize.py with more photographs and time may lose less'
        )
    lines += [f'failed     {row.graph.title} | {row.mode.title}: {row.reason}' for row in rows if row.reason]
    best = fastest(rows)
    if not best:
        return [*lines, 'fastest    no mode is within the limits: docs/accuracy.md shows how to find the cause']
    lines.append(
        f'fastest    within the limits ({MARK}): {best.graph.title} | {best.mode.title}, {best.rate:.4g} images/s'
    )
    return [*lines, *(f'           {line}' for line in commands_of(plan, best))]


def commands_of(plan: walk_steps.Plan, row: ModeRow) -> list[str]:
    """Return the commands, to be copied, that export the graph of a row, and convert or run it."""
    exported = plan.config._replace(graph=row.graph.name)
    lines = [runner.line_of(walk_steps.export_command(exported, row.graph.flags))]
    if row.mode.is_quantized:
        lines.append(runner.line_of(quantize_command(plan.config, row.graph)))
    job = job_of(row_plan(plan, row.graph, row.mode), row.mode, walk_steps.run_step)
    return [*lines, plan.machine.device.mode_command(job, plan.machine.soc_version, row.mode)]
