"""Your own pictures, of any size and kind, through the model on this machine.

    python3 RDN_upscale.py --input photos --output enlarged --model rdn_x2.onnx

Writes enlarged/NAME_x2.png for each picture: files, or whole folders with their structure. The pictures
go through the model in overlapping tiles that join without seams (tiles.py).
"""

import collections
import os

from rdn import cli, cpu, files, tiles
from rdn.engine import PRECISIONS, PROVIDERS, open_model
from rdn.evaluation import report
from rdn.imaging import images, reader, upscaler
from rdn.imaging.writer import FORMATS, Canvas, check_size, on_white

from tqdm import tqdm

MOST_STREAMS = 8  # tiles at a time: more would cost memory for each

Job = collections.namedtuple('Job', 'source target')


def plan(inputs, output, ending, scale):
    """The Jobs for files and folders, sorted; and the files passed over as no pictures by their names.

    A picture in a folder keeps its place below `output`. ending: of all results, or None: that of the
    source where it is a format that can be written, .png elsewhere.
    """
    sources, passed = [], []
    for given in inputs:
        if not os.path.isdir(given):
            sources.append((given, os.path.basename(given)))
            continue
        for folder, folders, names in os.walk(given):
            folders.sort()
            if os.path.realpath(folder) == os.path.realpath(output) != os.path.realpath(given):
                folders[:] = []  # results of an earlier run
                continue
            for name in sorted(names):
                path = os.path.join(folder, name)
                if name.startswith('.'):
                    continue
                if reader.is_picture_name(name):
                    sources.append((path, os.path.relpath(path, given)))
                else:
                    passed.append(path)
    jobs = []
    for source, place in sources:
        stem, own = os.path.splitext(place)
        chosen = ending or (own.lower() if own.lower() in FORMATS else '.png')
        jobs.append(Job(source, os.path.join(output, '%s_x%d%s' % (stem, scale, chosen))))
    results = {os.path.abspath(job.target) for job in jobs}
    return [job for job in jobs if os.path.abspath(job.source) not in results], passed


def enlarge(job, model, scale, args, advance):
    """Do one Job: read, run, write. Returns (notes, Picture, Canvas).

    Raises ValueError or OSError, with a file's name, where it cannot be done.
    """
    picture = reader.read_picture(job.source)
    height, width, channels = picture.pixels.shape
    ending = os.path.splitext(job.target)[1].lower()
    try:
        check_size(width * scale, height * scale, ending)
    except ValueError as error:
        raise ValueError('%s: %s' % (job.target, error))
    canvas = Canvas(width * scale, height * scale, channels, picture.pixels.dtype)
    for tile, part in upscaler.enlarge(picture.pixels, model, scale, args.overlap, args.batch_size, args.self_ensemble):
        rows, columns = tiles.place(tile, scale)
        canvas.put(rows, columns, part)
        advance((tile.rows.last - tile.rows.first) * (tile.columns.last - tile.columns.first) / 1e6)
    with files.replacing(job.target) as file:
        notes = canvas.save(file, ending, picture.info)
    return picture.notes + notes, picture, canvas


def main(argv=None):
    args = parse_args(argv)
    threads = args.threads or cpu.cores()
    streams = min(threads, MOST_STREAMS)
    model = open_model(args.model, args.precision, args.provider, args.device_id, threads, streams)
    scale = upscaler.scale_of(model, args.model)
    for given in args.input:
        if not os.path.exists(given):
            raise FileNotFoundError(2, 'no such file or folder', given)
    jobs, passed = plan(args.input, args.output, args.ext, scale)
    if not jobs:
        raise ValueError('%s: no pictures in it' % ', '.join(args.input))
    print('%d picture%s, x%d on %s' % (len(jobs), '' if len(jobs) == 1 else 's', scale, model.provider))
    failed, skipped, entries, done = [], 0, [], {}
    bar = tqdm(
        total=sum(megapixels(job.source) for job in jobs),
        unit='MP',
        disable=None,
        leave=False,
        bar_format='{percentage:3.0f}%|{bar}| {n:.2f}/{total:.2f} MP [{elapsed}<{remaining}, {rate_noinv_fmt}]',
    )

    def advance(amount):
        bar.update(min(amount, bar.total - bar.n))  # the sum of parts may be a rounding more than the whole

    for job in jobs:
        try:
            if job.target in done:
                raise ValueError('%s: would be the result of %s too: rename one' % (job.target, done[job.target]))
            done[job.target] = job.source
            if os.path.exists(job.target) and not args.overwrite:
                if args.resume:
                    skipped += 1
                    bar.total -= megapixels(job.source)
                    continue
                raise ValueError('%s: is there already: --overwrite replaces, --resume skips it' % job.target)
            notes, picture, canvas = enlarge(job, model, scale, args, advance)
            bar.write(job.target + (': ' + '; '.join(notes) if notes else ''))
            if args.report:
                entries.append(make_entry(os.path.basename(job.source), picture, canvas, scale))
            del picture, canvas
        except (ValueError, OSError, MemoryError) as error:
            failed.append(cli.describe(error))
            bar.write('failed: ' + failed[-1])
    bar.close()
    conclude(args, len(jobs), skipped, passed, failed, entries)


def make_entry(name, picture, canvas, scale):
    """The report's entry: the picture's middle, enlarged by Pillow's bicubic and as it is on the canvas."""
    height, width = picture.pixels.shape[:2]
    side = report.SIDE // scale
    left, top = max(0, width - side) // 2, max(0, height - side) // 2
    box = (left, top, min(width, left + side), min(height, top + side))
    small = on_white(picture.pixels[box[1] : box[3], box[0] : box[2]])
    large = canvas.crop([scale * x for x in box])
    return report.make_entry(name, images.enlarge(small, scale), large, size=(width * scale, height * scale))


def conclude(args, count, skipped, passed, failed, entries):
    """Write the report, say what was not done. Raises ValueError that names what failed."""
    if args.report and entries:
        print('report: ' + report.write_report(args.report, entries))
    if skipped:
        print('%d skipped: done before' % skipped)
    if passed:
        print('%d passed over, no pictures by their names: %s' % (len(passed), ', '.join(passed[:5])))
    print('%d done, in %s' % (count - skipped - len(failed), args.output))
    if failed:
        raise ValueError('%d of %d failed: %s' % (len(failed), count, ' | '.join(failed)))


def megapixels(path):
    """Of a picture by its header; 0 where it has none, which its reading will say."""
    size = reader.size_of(path)
    return size[0] * size[1] / 1e6


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument('--input', nargs='+', required=True, metavar='PATH', help='pictures, or folders of them')
    parser.add_argument('--output', required=True, metavar='DIR', help='folder for the results')
    parser.add_argument('--model', default='rdn_x2.onnx', help='of RDN_pth2onnx.py; default %(default)s')
    parser.add_argument('--ext', choices=sorted(e[1:] for e in FORMATS), help="default: the source's own")
    parser.add_argument('--overwrite', action='store_true', help='replace results that are there')
    parser.add_argument('--resume', action='store_true', help='skip results that are there')
    parser.add_argument(
        '--self-ensemble', action='store_true', help='average the eight flips and turns: slower, better'
    )
    parser.add_argument('--report', metavar='DIR', help='write there index.html, a page with before/after sliders')
    parser.add_argument('--overlap', type=int, default=tiles.OVERLAP, help='of tiles, pixels; default %(default)s')
    parser.add_argument('--batch-size', type=cli.positive, default=1, help='tiles a run; default 1')
    parser.add_argument('--provider', choices=list(PROVIDERS), help='default: the first that onnxruntime has')
    parser.add_argument('--device-id', type=int, default=0)
    parser.add_argument(
        '--precision',
        choices=PRECISIONS,
        default='fp32',
        help='bf16: faster, on a CPU that has it; default fp32, exact',
    )
    parser.add_argument('--threads', type=int, default=0, help='of a CPU run; default: one a core')
    args = parser.parse_args(argv)
    args.ext = args.ext and '.' + args.ext
    if args.overwrite and args.resume:
        parser.error('give one of --overwrite and --resume')
    return args


if __name__ == '__main__':
    cli.run(main)
