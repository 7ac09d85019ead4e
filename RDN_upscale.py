"""Enlarge your own pictures, of any size and kind, on this machine.

    python3 RDN_upscale.py photo.jpg
    python3 RDN_upscale.py photo.jpg --width 3840
    python3 RDN_upscale.py photos holiday.png --output enlarged --report enlarged

photo.jpg becomes photo_x2.jpg in the same folder, and a folder photos becomes photos_x2 with the same structure. With
--output, all results go to that folder. If you run the same command again, it makes only missing results: a hidden file
.rdn-upscale.jsonl next to the results records the source and the settings of each result. docs/pictures.md describes
all flags.
"""

from __future__ import annotations

import argparse
import os
import warnings

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from pictures import (
    clashes,
    discovery,
    estimate,
    flags,
    history,
    jobs,
    local,
    naming,
    passes,
    processing,
    request,
    target_size,
    upscaler,
    workload,
)
from pictures.report import report
from rdn import cli, engines


def main(argv=None):
    args = parse_args(argv)
    warnings.simplefilter('ignore')  # of libraries; real problems are errors or notes
    summary = processing.Summary()
    place = engines.Place(args.provider, args.device_id, args.threads, device=args.device)
    model = request.ChosenModel(args.model, args.engine, args.precision, place)
    options = processing.Options(**{name: getattr(args, name) for name in processing.Options._fields})
    inputs = [*args.pictures, *args.input]
    asked = request.UpscaleRequest(inputs, args.output, model, args.suffix, args.ext, args.report, args.log, options)
    again = command_for_the_rest(args)
    try:
        if args.cluster is None:
            target, page = upscale_here(asked, summary)
        else:
            from pictures.cluster import run  # imported here because most users never need it

            target, page = args.output, run.upscale(args.cluster, asked, summary)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f'interrupted: finished results are kept; {again} continues')
    show_others(summary, options)
    cli.say(f'{summary.done} done{f", in {target}" if summary.done else ""}')
    if page and page.entries:
        cli.say(f'report: {page.path}, for a browser')
    check_failures(summary, args.log, again)


def command_for_the_rest(args: argparse.Namespace) -> str:
    """Return which command enlarges the pictures that have no result yet, in words."""
    if args.cluster is None:
        return 'the same command without --overwrite' if args.overwrite else 'the same command'
    return 'the same command with --resume' + (' in place of --overwrite' if args.overwrite else '')


def upscale_here(asked: request.UpscaleRequest, summary: processing.Summary) -> tuple[str, report.Report | None]:
    """Enlarge the pictures on this machine.

    Args:
        asked: the pictures and settings.
        summary: receives the numbers of results, failures and skipped files.

    Returns:
        The path of the result, or the folders of the results in words; and the report, or None.

    Raises:
        ValueError: the flags, pictures or model cannot be used.
    """
    model, options = asked.model, asked.options
    discovery.check_existence(asked.inputs)  # first, because starting an engine takes seconds
    with engines.opened(model.file, model.engine, model.precision, model.busy_place()) as engine:
        scale = engines.scale_of(engine, model.file)
        upscaler.check_tiles(engine, options.tile_size, options.overlap)
        passes.check(scale, options.size)
        discovery.check_no_url(asked.output or '')
        usual = target_size.suffix_of(options.size, scale)
        names = naming.make_naming(asked.output, asked.suffix, asked.ext, options.lossless, usual, options.all_frames)
        names = names._replace(numbers=options.on_clash == clashes.NUMBER, in_place=options.in_place)
        past = history.History(asked.made())
        found = jobs.find_jobs(asked.inputs, names, summary, past)
        folders = sorted({naming.folder_for(given, names) or os.curdir for given in asked.inputs})
        asked.check_writable(folders)
        lines = [model.describe(scale, engines.describe(engine, '--precision'))]
        lines += processing.describe_model(engine, model.precision)
        said = len(engine.notes)
        lines += processing.describe_tiles(engine, options) if model.path else []
        for line in filter(None, [*lines, found.describe_results()]):
            cli.say(line)
        load = workload.Workload(found.jobs, engine, scale, options)
        expected = estimate.expected_seconds(load)
        print(estimate.describe(load, expected), flush=True)
        with asked.under_way(summary) as page:
            local.upscale_all(load, expected, page, summary, past)
        for note in engine.notes[said:]:
            cli.say(note)
    places = ', '.join('this folder' if folder == os.curdir else folder for folder in folders)
    return found.jobs[0].target if len(found.jobs) == 1 else places, page


def show_others(summary: processing.Summary, options: processing.Options) -> None:
    """Print a line each about skipped results, files that are not pictures, and linked folders, if there are any."""
    if summary.skipped:
        remedies = '; --overwrite makes them again'
        if options.in_place:
            remedies = '; to repeat one, rename its .orig back, or add --overwrite if there is no .orig'
        print(f'{summary.skipped} skipped: done before{"" if options.resume else remedies}')
    if summary.passed:
        cli.say(summary.describe_others())
    if summary.links:
        links = cli.count(summary.links, 'linked folder')
        cli.say(f'{links} left out; to enlarge the pictures there, name each folder: {", ".join(summary.link_names)}')


def check_failures(summary: processing.Summary, log: str | None, again: str) -> None:
    """Check that no picture failed.

    Args:
        summary: the results of the run.
        log: the file that lists all failures; None if there is no such file.
        again: names the command that enlarges only what is missing.

    Raises:
        ValueError: pictures failed; the message has the first failures.
    """
    if not summary.failed:
        return
    named = ' | '.join(summary.first_failures)
    more = summary.failed - len(summary.first_failures)
    rest = (
        f' | and {more} more, {f"in {log}" if log else "above; --log FILE writes them to a file"}' if more > 0 else ''
    )
    retry = f'; {again} tries only what is missing' if summary.failed < summary.count else ''
    raise ValueError(f'{summary.failed} of {summary.count} failed: {named}{rest}{retry}')


def parse_args(argv):
    parser = cli.Parser(__doc__)
    flags.add_all(parser)
    args = parser.parse_intermixed_args(argv)
    args.size = target_size.of_keywords(**{unit: getattr(args, unit) for unit in target_size.LETTERS})
    flags.check(parser, args)
    if args.cluster is not None and args.log is None:
        args.log = 'failures.txt'
    return args


if __name__ == '__main__':
    cli.run(main)
