"""The walk of run.sh --compare-modes: every variant of the graph in every precision mode, and which of them to take.

Each row of the table is converted where the device needs that, run, and compared with PyTorch. What fails is a row too.
The table is written after each row, so that a run that is broken off leaves those that it measured.
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
INTERRUPTED = 130  # the status of a script that Ctrl-C ended
TERMINATED = (129, 143)  # of one that SIGHUP or SIGTERM ended
BUDGET_SECONDS = 120  # for the model of eight bits; without a limit it may lose less
CALIBRATION_IMAGES = 4  # with one more for the trials: the five photographs of sample_images.py


class GraphVariant(NamedTuple):
    """A variant of the graph; all of them compute the same numbers.

    Attributes:
        title: for the console.
        name: for file names; empty for the guide's.
        flags: of RDN_pth2onnx.py.
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
QUANTIZED = 'quick_int8'  # the graph's name for file names; a careful model may be called int8


class ModeRow(NamedTuple):
    """A graph in a mode.

    Attributes:
        graph: variant of the graph.
        mode: of the device.
        verdict: on accuracy; None if the conversion or a run failed.
        rate: images/s without reading and writing; 0 then.
        reason: why it failed; empty if it did not.
    """

    graph: GraphVariant
    mode: base.Mode
    verdict: agreement.Verdict | None = None
    rate: float = 0
    reason: str = ''

    @property
    def is_kept(self) -> bool:
        """Whether it ran, and its accuracy is within the limits."""
        return self.verdict is not None and self.verdict.is_kept


def compare(plan: walk_steps.Plan) -> int:
    """Measure all rows, print their table, and return the status: 0 where a mode is within the limits.

    Raises:
        ValueError: the converter cannot be asked for its modes.
    """
    pairs = pairs_of(plan.machine.device.modes())
    print(f'{cli.count(len(pairs), "row")} to measure; {TABLE} always has those that are done', flush=True)
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
    """All rows: each graph in each mode; modes that do not depend on the graph, and eight bits, once."""
    first = GRAPHS[0]
    return [
        (graph, mode)
        for graph in GRAPHS
        for mode in modes
        if graph is first or mode.is_of_graph and not mode.is_quantized
    ]


def describe_progress(done: int, total: int, seconds: float) -> str:
    """'row 3 of 14, about 5 minutes left'. seconds: that the rows so far took."""
    row = f'row {done + 1} of {total}'
    minutes = max(1, round(seconds / done * (total - done) / 60)) if done else 0
    return f'{row}, about {cli.count(minutes, "minute")} left' if done else row


def attempt(action: Callable[[walk_steps.Run], None]) -> str:
    """Do something that may fail; return the reason, empty if it does not.

    Args:
        action: takes what runs a command of the guide.

    Raises:
        KeyboardInterrupt: Ctrl-C ended a command.
        SystemExit: SIGHUP or SIGTERM ended a command, or is to end this process.
    """
    said: list[str] = []
    try:
        action(functools.partial(walk_steps.run_and_keep, said))
        return ''
    except SystemExit as ended:  # of a command, whose last line says why
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
    """Step 3.1 for a variant of the graph."""
    walk_steps.export(config._replace(graph=graph.name), graph.flags, run)


def measure(plan: walk_steps.Plan, graph: GraphVariant, mode: base.Mode) -> ModeRow:
    """Convert, run and judge a graph that was exported, in a mode."""
    rows: list[ModeRow] = []

    def action(run: walk_steps.Run) -> None:
        if mode.is_quantized:
            make_samples(run)
            walk_steps.check(run(*quantize_command(plan.config, graph)))
        rows.append(ModeRow(graph, mode, *run_and_judge(row_plan(plan, graph, mode), mode, run)))

    reason = attempt(action)
    return rows[0] if rows else ModeRow(graph, mode, reason=reason)


def row_plan(plan: walk_steps.Plan, graph: GraphVariant, mode: base.Mode) -> walk_steps.Plan:
    """The plan with the names of a row's files."""
    name = QUANTIZED if mode.is_quantized else graph.name
    return plan._replace(config=plan.config._replace(graph=name, mode=mode.name))


def make_samples(run: walk_steps.Run) -> None:
    """Make the photographs for the scales of eight bits, if they are not there."""
    if not os.path.isdir(walk_steps.SAMPLES):
        walk_steps.check(run('python3', 'sample_images.py', walk_steps.SAMPLES))


def quantize_command(config: configuration.Configuration, graph: GraphVariant) -> list[str]:
    """The command that makes the model of eight bits of a graph."""
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
    """A row's inference. run: runs a command of the guide."""
    machine, [batch_size] = plan.machine, plan.batch_sizes

    def step(*command: str) -> None:
        walk_steps.check(run(*command))

    flags = () if machine.device.converter else mode.flags
    folder = plan.config.result_folder(batch_size)
    return base.Job(plan.config, batch_size, machine.device_id, machine.chip, folder, step, flags, mode.is_slow)


def run_and_judge(
    plan: walk_steps.Plan, mode: base.Mode, run: walk_steps.Run
) -> tuple[agreement.Verdict | None, float]:
    """Convert if the device needs it, run, compare with PyTorch; return the verdict and images/s.

    Args:
        plan: with the names of the row's files.
        mode: of the device.
        run: runs a command of the guide.
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
        if machine.device.converter:  # some dozens of them would fill a disk
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
    """The fastest row within the limits; None if there is none."""
    return max((row for row in rows if row.is_kept), key=lambda row: row.rate, default=None)


def cells_of(rows: Sequence[ModeRow]) -> list[tuple[str, ...]]:
    """The table's cells, its head first. A loss is positive, a gain negative."""
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
    """A loss in dB with three decimals, no -0.000. change: of the PSNR, negative for a loss."""
    return f'{round(-change, 3) + 0.0:.3f}'


def describe(plan: walk_steps.Plan, rows: Sequence[ModeRow]) -> list[str]:
    """The last lines: the table, what failed and why, the fastest mode within the limits and its commands."""
    limits = f'{agreement.MAX_LOSS:g} dB on average, {agreement.MAX_IMAGE_LOSS:g} dB on any image'
    lines = [cli.format_table(cells_of(rows)), f'limits     a loss of {limits}, against PyTorch in fp32']
    if any(row.mode.is_quantized and row.verdict for row in rows):
        lines.append(
            f'int8       scales from {CALIBRATION_IMAGES} photographs within {BUDGET_SECONDS} s; '
            'RDN_quantize.py with more of both may lose less'
        )
    lines += [f'failed     {row.graph.title} | {row.mode.title}: {row.reason}' for row in rows if row.reason]
    best = fastest(rows)
    if not best:
        return [*lines, 'fastest    none is within the limits: docs/accuracy.md says how to find the cause']
    lines.append(
        f'fastest    within the limits ({MARK}): {best.graph.title} | {best.mode.title}, {best.rate:.4g} images/s'
    )
    return [*lines, *(f'           {line}' for line in commands_of(plan, best))]


def commands_of(plan: walk_steps.Plan, row: ModeRow) -> list[str]:
    """The lines, to be copied, that export a row's graph and convert or run it."""
    exported = plan.config._replace(graph=row.graph.name)
    lines = [runner.line_of(walk_steps.export_command(exported, row.graph.flags))]
    if row.mode.is_quantized:
        lines.append(runner.line_of(quantize_command(plan.config, row.graph)))
    job = job_of(row_plan(plan, row.graph, row.mode), row.mode, walk_steps.run_step)
    return [*lines, plan.machine.device.mode_command(job, plan.machine.soc_version, row.mode)]
