"""Run on the machines of a Ray cluster, from one folder or URL to another."""

from __future__ import annotations

import contextlib
import itertools
import os

from pictures import naming, processing, request, target_size
from pictures.cluster import fleet, progress, ray_log, scheduler, stores, task_source, worker
from pictures.formats import reader, stderr_capture
from pictures.report import report
from rdn import engines, escaping

FIRST_PICTURES = 3  # each machine of a cluster has to see at least one of these


def upscale(address: str, asked: request.UpscaleRequest, summary: processing.Summary) -> report.Report | None:
    """Enlarge the pictures of a folder or URL on the machines of a cluster.

    Args:
        address: the address of the cluster; empty: a Ray of our own on this machine.
        asked: the settings of the run, with one input and an output.
        summary: counts the pictures that are done, skipped and failed.

    Returns:
        The report; None if the user wants no report.

    Raises:
        ValueError: a folder, a URL or the model cannot be used, or the cluster does not answer.
        OSError: a folder, a URL or a file cannot be read or written.
    """
    source, output = open_stores(asked)
    first = list(itertools.islice(filter(reader.is_picture_name, source.list(output)), FIRST_PICTURES))
    if not first:
        raise ValueError(f'{asked.inputs[0]}: no pictures found')
    output.check_writable()
    asked.check_writable([])
    model = asked.model
    engines.check_model(model.file)
    with open(model.file, 'rb') as file:
        content = file.read()
    with contextlib.ExitStack() as stack:
        token = stack.enter_context(scheduler.token_in(output))
        setup = worker.Setup(
            content,
            model.file,
            model.engine,
            model.precision,
            model.place,
            (source.url, source.absolute()),
            (output.url, output.absolute()),
            list(filter(source.exists, first)),  # a link may be broken
            token,
            asked.options,
        )
        under_way = stack.enter_context(scheduler.unfinished(output))
        console = stack.enter_context(stderr_capture.console())
        own_lines = stack.enter_context(ray_log.captured(asked.log))
        ray = stack.enter_context(fleet.joined(address))
        shown = stack.enter_context(contextlib.closing(progress.Progress(summary, console)))
        page = stack.enter_context(asked.under_way(summary))
        workers = stack.enter_context(fleet.Fleet(ray, setup, model.place.threads))
        workers.on_lost = lambda address: shown.write(escaping.escape(own_lines.describe_lost(address)))
        handed = scheduler.Scheduler(workers, source, output, shown, page, under_way)
        ready = handed.wait_for_workers()
        options = asked.options
        usual = target_size.suffix_of(options.size, ready.scale)
        names = naming.make_naming('', asked.suffix, asked.ext, options.lossless, usual, options.all_frames)
        lines = [model.describe(ready.scale, ready.name), f'pictures of {source.url}', *ready.lines]
        shown.write('\n'.join(map(escaping.escape, lines)))
        shown.count(source, output)
        handed.upscale(task_source.find_tasks(source, output, names, summary))
    return page


def open_stores(asked: request.UpscaleRequest) -> tuple[stores.Store, stores.Store]:
    """Return the stores of the pictures and of the results.

    Args:
        asked: the settings of the run.

    Raises:
        ValueError: there are several inputs, the input or the output is a file, or both are the same URL.
    """
    given, target = asked.inputs[0], asked.output or ''
    if len(asked.inputs) > 1:
        raise ValueError(f'--cluster takes one --input, a folder or a URL, not {len(asked.inputs)}')
    if os.path.isfile(given):
        raise ValueError(f'{given}: a file: --cluster takes a folder or a URL')
    if reader.is_picture_name(target) and not os.path.isdir(target):
        raise ValueError(f'{target}: a file: with --cluster, --output takes a folder or a URL')
    source, output = stores.open_store(given), stores.open_store(target)
    if '://' in target and output.is_same(source):
        raise ValueError(f'{target}: is the input too: name another --output')
    return source, output
