"""Guide 6.1: compare the device's outputs with the labels: PSNR an image and on average.

    python3 RDN_postprocess.py --pred-path=./result/dumpOutput_device0 --label-path=./prep_dataset/label --result-path=./result.json --width=114 --height=114 --scale=2

Reads the outputs of benchmark, RDN_infer.py and ais_bench; writes result.json; shows each image's
PSNR beside that of Pillow's bicubic enlargement.
"""

import collections
import json
import math
import os

from rdn import cli, cpu, dataset, files, tiles
from rdn.ascend import benchmark
from rdn.evaluation import metrics, plausibility, report, sheet
from rdn.imaging import images

import numpy as np

Score = collections.namedtuple('Score', 'stem bicubic rdn')  # PSNR in dB
Case = collections.namedtuple('Case', 'label layout')  # path of an image's label or None; Layout of its tiles or None


def find_cases(folder, args):
    """Stem -> Case of each image that was prepared, sorted by stem.

    Raises ValueError where there is none, where a label is missing, or was prepared for another size.
    """
    cases = {}
    for name in sorted(os.listdir(folder)):
        stem, path = benchmark.stem_of(name), os.path.join(folder, name)
        if name.endswith('.npy') and not name.startswith('.'):
            cases[stem] = Case(path, cases.get(stem, Case(None, None)).layout)
        elif name.endswith('.json') and not name.startswith('.'):
            layout = tiles.read_layout(path)
            if (list(layout.tile), layout.scale) != ([args.height, args.width], args.scale):
                raise ValueError(
                    '%s: prepared for tiles of %d x %d and scale %d, not as the flags say'
                    % (path, layout.tile[1], layout.tile[0], layout.scale)
                )
            cases[stem] = Case(None, layout)
    if not cases:
        raise ValueError('%s: no labels (.npy) in it: RDN_preprocess.py writes them' % folder)
    for stem, case in cases.items():
        if case.layout and case.layout.label and not case.label:
            raise ValueError('%s: no label %s.npy beside its layout' % (folder, stem))
    return cases


def read_label(path, shape):
    """A label as float (3, H, W), 0...1. Raises ValueError, with the file's name, for another shape or range."""
    label = benchmark.read_npy(path)
    if label.shape != (1,) + shape:
        raise ValueError(
            '%s: shape %s, expected %s: prepared for another size or scale'
            % (path, list(label.shape), [1] + list(shape))
        )
    if not (label.min() >= 0 and label.max() <= 1):  # also for nan
        raise ValueError('%s: values outside 0...1: RDN_preprocess.py writes none' % path)
    return label[0]


def whole_shape(case, shape):
    """The (3, H, W) of a case's image, enlarged; shape: of one output."""
    layout = case.layout
    return (3, layout.height * layout.scale, layout.width * layout.scale) if layout else shape


def label_files(cases):
    """The names of the cases' files in the folder of labels."""
    return [stem + '.npy' for stem, case in cases.items() if case.label] + [
        stem + '.json' for stem, case in cases.items() if case.layout
    ]


def output_stems(cases):
    """The names of all outputs that the cases ask for, image by image."""
    return [
        name
        for stem, case in cases.items()
        for name in (tiles.tile_stems(stem, case.layout) if case.layout else [stem])
    ]


def read_prediction(stem, case, outputs, shape):
    """An image as the device computed it, (3, H, W); put together where it was cut into tiles.

    shape: of one output. Raises ValueError, with the file's name, as benchmark_files.read_output does.
    """
    if not case.layout:
        return benchmark.read_output(outputs[stem], shape)
    parts = tiles.tile_stems(stem, case.layout)
    return tiles.join(
        ((tile, benchmark.read_output(outputs[name], shape)) for name, tile in parts.items()), case.layout
    )


def bicubic(label, scale):
    """What Pillow's bicubic makes of the reduced label: (3, H, W), 0...1 -> the same."""
    return images.to_chw(images.enlarge(images.reduce(images.to_image(label), scale), scale))


def format_result(values):
    """The text of result.json for the PSNRs of all images, in dB, in the guide's shape."""
    rows = [('Number of images', str(len(values)))]
    rows += [('Top%d PSNR' % rank, two_decimals(x)) for rank, x in enumerate(sorted(values, reverse=True), 1)]
    rows += [('Avg PSNR', two_decimals(np.mean(values)))]
    pairs = [{'key': key, 'value': value} for key, value in rows]
    return json.dumps({'title': 'Overall statistical evaluation', 'value': pairs}, indent=4) + '\n'


def two_decimals(value):
    """38.9 for 38.90: as the guide writes its figures."""
    text = '%.2f' % value
    return text.rstrip('0').rstrip('.') if '.' in text else text


def print_scores(scores, average):
    """The console's table: an image a line, then the averages."""
    width = max([len(score.stem) for score in scores] + [7])
    print('%-*s  %7s  %6s  %6s' % (width, 'PSNR dB', 'bicubic', 'RDN', 'gain'))
    for stem, baseline, rdn in scores + [average]:
        print('%-*s  %7.2f  %6.2f  %+6.2f' % (width, stem, baseline, rdn, rdn - baseline))


def judge(stem, case, outputs, args):
    """One image: its Score (None without a label) and its entry in the report (None where none was asked for).

    Writes its pictures where --save-images asks for them. Raises ValueError as the reading functions do.
    """
    shape = (3, args.height * args.scale, args.width * args.scale)
    hr = read_label(case.label, whole_shape(case, shape)) if case.label else None
    sr = read_prediction(stem, case, outputs, shape)
    score, entry = None, None
    if case.label:
        baseline = bicubic(hr, args.scale)
        score = Score(stem, *[metrics.sr_psnr(x, hr, args.scale, metrics.LUMA[args.luma]) for x in (baseline, sr)])
    else:
        baseline = images.to_chw(images.enlarge(images.read_rgb(case.layout.source), args.scale))
    reason = None if args.allow_mismatch else plausibility.doubt(sr, baseline if hr is None else hr)
    if reason:
        raise ValueError(
            '%s: %s --allow-mismatch counts it nevertheless' % (outputs[output_stems({stem: case})[0]], reason)
        )
    if args.save_images:
        save_images(args.save_images, stem, baseline, sr, hr, score, args.scale)
    if args.report:
        entry = make_entry(stem, baseline, sr, hr, score, args.scale)
    return score, entry


def main(argv=None):
    args = parse_args(argv)
    cases = find_cases(args.label_path, args)
    if not any(case.label for case in cases.values()) and not (args.save_images or args.report):
        raise ValueError('%s: no labels, so nothing to measure: give --save-images or --report' % args.label_path)
    dataset.check_complete(args.label_path, label_files(cases))
    outputs = benchmark.find_outputs(args.pred_path, output_stems(cases))
    if args.report:
        import skimage.metrics  # noqa: F401 - a second that only SSIM costs; not first in a thread
    judged = cpu.in_order(lambda item: judge(item[0], item[1], outputs, args), cases.items())
    scores, entries = zip(*cli.progress(judged, 'image', len(cases)))
    if args.report:
        print('report: %s' % report.write_report(args.report, entries))
    if any(scores):
        conclude([score for score in scores if score], args)


def conclude(scores, args):
    """Write result.json and show the figures; raise ValueError where they are lower than asked for."""
    files.write_text(args.result_path, format_result([score.rdn for score in scores]))
    average = Score('average', *(float(np.mean(column)) for column in list(zip(*scores))[1:]))
    print_scores(scores, average)
    print('Avg PSNR: %.2f' % average.rdn)
    if args.min_psnr is not None and not average.rdn >= args.min_psnr:
        raise ValueError('accuracy not met: %.3f dB on average, --min-psnr asks for %g' % (average.rdn, args.min_psnr))


def make_entry(name, baseline, sr, hr, score, scale):
    """The report's entry of an image; hr and score are None where the original is not known."""
    ssim = None if hr is None else [metrics.sr_ssim(x, hr, scale) for x in (baseline, sr)]
    bicubic, rdn, original = [None if x is None else images.to_image(x) for x in (baseline, sr, hr)]
    return report.make_entry(name, bicubic, rdn, original, score and score[1:], ssim)


def save_images(folder, stem, baseline, sr, hr, score, scale):
    """Write STEM_x2.png, the super-resolved image, and STEM_sheet.png, bicubic | RDN | original where known."""
    captions = ['bicubic', 'RDN', 'original']
    if score:
        captions[:2] = ['bicubic %.2f dB' % score.bicubic, 'RDN %.2f dB' % score.rdn]
    panels = [images.to_image(x) for x in (baseline, sr, hr) if x is not None]
    for suffix, image in (('x%d' % scale, panels[1]), ('sheet', sheet.compose(list(zip(captions, panels))))):
        with files.replacing(os.path.join(folder, '%s_%s.png' % (stem, suffix))) as file:
            image.save(file, 'PNG')


def parse_args(argv):
    def decibels(text):
        value = float(text)
        if not math.isfinite(value):
            raise ValueError(text)
        return value

    parser = cli.Parser(__doc__)
    parser.add_argument('--pred-path', required=True, help="folder of the device's outputs")
    parser.add_argument('--label-path', required=True, help='folder of the labels, .npy')
    parser.add_argument('--result-path', required=True, help='result.json to write')
    parser.add_argument('--width', type=cli.positive, default=114, help='of the input, pixels')
    parser.add_argument('--height', type=cli.positive, default=114, help='of the input, pixels')
    parser.add_argument('--scale', type=int, choices=images.SCALES, default=2)
    parser.add_argument(
        '--luma',
        choices=sorted(metrics.LUMA, reverse=True),
        default='rdn-pytorch',
        help='coefficients: those of the published figures (default), or BT.601',
    )
    parser.add_argument(
        '--allow-mismatch', action='store_true', help='count outputs that do not show what their labels show'
    )
    parser.add_argument('--min-psnr', type=decibels, metavar='DB', help='end with status 1 when the average is lower')
    parser.add_argument(
        '--save-images',
        metavar='DIR',
        help='write there each super-resolved image and a sheet: bicubic | RDN | original',
    )
    parser.add_argument('--report', metavar='DIR', help='write there index.html, a page with before/after sliders')
    return parser.parse_args(argv)


if __name__ == '__main__':
    cli.run(main)
