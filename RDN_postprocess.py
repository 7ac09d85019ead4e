"""Guide 6.1: compare the device's outputs with the labels: PSNR an image and on average.

    python3 RDN_postprocess.py --pred-path=./result/dumpOutput_device0 --label-path=./prep_dataset/label --result-path=./result.json --width=114 --height=114 --scale=2

Reads the outputs of benchmark, RDN_infer.py and ais_bench (a run's folder, or its parent); writes result.json; shows
each image's PSNR beside that of Pillow's bicubic upsampling. With

    --reference=rdn_x2.pth

it compares the outputs with what PyTorch makes of the very same inputs; status 3 says that accuracy was not kept.
result.run.json beside result.json says where the figures come from, for test/accept.py.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
from typing import Sequence

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from pictures.report import report, sheet
from rdn import cli, configuration, cpu, files, images, run_record
from rdn.accuracy import agreement, metrics, result, scoring
from rdn.data import dataset, manifest, protocols
from rdn.devices import outputs
from rdn.network import architectures


def save_images(folder: str, image: scoring.Result, score: scoring.Score | None, scale: int, network: str) -> None:
    """Write STEM_x2.png, the super-resolved image, and STEM_sheet.png, bicubic | RDN | original where known.

    Args:
        folder: for the files.
        image: what they show.
        score: its PSNRs; None if the original is not known.
        scale: of the network.
        network: its title.
    """
    captions = ['bicubic', network, 'original']
    if score:
        captions[:2] = [f'bicubic {score.bicubic:.2f} dB', f'{network} {score.rdn:.2f} dB']
    panels = [images.to_image(x) for x in (image.bicubic, image.sr, image.hr) if x is not None]
    for suffix, panel in ((f'x{scale}', panels[1]), ('sheet', sheet.compose(list(zip(captions, panels))))):
        with files.atomic_file(os.path.join(folder, f'{image.case.stem}_{suffix}.png')) as file:
            panel.save(file, 'PNG')


def add_to_report(
    page: report.Report, image: scoring.Result, score: scoring.Score | None, border: int, position: int
) -> None:
    """Put an image on the page, with its figures where the label is known. position: among the images."""
    bicubic, rdn = images.to_image(image.bicubic), images.to_image(image.sr)
    if score is None or image.hr is None:
        page.add(image.case.stem, report.Views(bicubic, rdn), position=position)
        return
    psnr = score.bicubic, score.rdn
    ssim = metrics.sr_ssim(image.bicubic, image.hr, border), metrics.sr_ssim(image.sr, image.hr, border)
    views = report.Views(bicubic, rdn, images.to_image(image.hr))
    page.add(image.case.stem, views, report.Figures(psnr, ssim), position)


def format_scores(scores: Sequence[scoring.Score], network: str) -> str:
    """The console's table: an image a line. network: its title."""
    rows = [('PSNR dB', 'bicubic', network, 'gain')]
    rows += [(stem, f'{bicubic:.2f}', f'{rdn:.2f}', f'{rdn - bicubic:+.2f}') for stem, bicubic, rdn in scores]
    return cli.format_table(rows)


def check_record(pred_path: str, label_path: str) -> run_record.Record | None:
    """The record of what computed the outputs; None where it is not known.

    Raises ValueError where they were computed from another preparation than the labels are of.
    """
    record = run_record.read(pred_path)
    prepared = manifest.digest_beside(label_path)
    if record and record.manifest and prepared and record.manifest != prepared:
        raise ValueError(
            f'{pred_path}: computed from another preparation than {label_path} is of: run inference on this one'
        )
    return record


def main(argv=None):
    args = parse_args(argv)
    size = args.width, args.height, args.scale
    cases = dataset.find_cases(args.label_path, *size)
    if not all(case.label_path for case in cases) and args.reference:
        raise ValueError(f'{args.label_path}: no labels, so no PSNR to compare: leave --reference out')
    if not any(case.label_path for case in cases) and not (args.save_images or args.report):
        raise ValueError(f'{args.label_path}: no labels, so nothing to measure: give --save-images or --report')
    pred_path = outputs.resolve_folder(args.pred_path)
    if pred_path != args.pred_path:
        print(f'{args.pred_path}: the outputs of its newest run, {pred_path}')
    record = check_record(pred_path, args.label_path)
    paths = outputs.find_outputs(pred_path, [stem for case in cases for stem in case.input_stems()])
    protocol = dataset.protocol_of(args.label_path)
    border = (protocol or protocols.CROP).border(args.scale)
    rules = scoring.Rules(*size, border, args.luma, not args.allow_mismatch)
    reference = None
    if args.reference:
        reference = agreement.reference_outputs(args.reference, args.label_path, cases, args.width, args.height)
    if args.report:
        import skimage.metrics  # noqa: F401 - a second that only SSIM costs; not first in a thread

    def judge(case: dataset.Case, position: int) -> tuple[scoring.Score | None, agreement.Agreement | None]:
        own = {stem: paths[stem] for stem in case.input_stems()}
        score, image = elsewhere(scoring.measure, case, own, rules, shows, outputs.read_outputs)
        if image and args.save_images:
            save_images(args.save_images, image, score, args.scale, network)
        if image and page:
            add_to_report(page, image, score, border, position)
        compared = None
        if image and score and reference:
            compared = scoring.compare(image, score, reference, rules)
        return score, compared

    network = architectures.title_of(args.network)
    shows = bool(args.save_images or args.report or reference)
    with contextlib.ExitStack() as stack:
        elsewhere = stack.enter_context(cpu.other_processes(cpu.available_cores()))
        page = stack.enter_context(report.writing(args.report, network)) if args.report else None
        done = cpu.map_in_order(lambda numbered: judge(numbered[1], numbered[0]), enumerate(cases))
        judged = list(cli.progress(done, 'image', len(cases)))
    if page:
        print(f'report: {page.path}')
    scores = [score for score, _ in judged if score]
    if not scores:
        return
    agreements = [compared for _, compared in judged if compared]
    verdict = agreement.judge(agreements, args.max_loss, args.max_image_loss) if agreements else None
    title = protocol and protocol.title
    origin_of_result = result.Origin(
        title, dataset.name_of(args.label_path), args.luma, args.scale, len(scores), record, verdict
    )
    result.write(args.result_path, [score.rdn for score in scores], origin_of_result)
    if verdict:
        print(f'{agreement.format_agreements(agreements)}\nagainst PyTorch: {verdict.describe()}\n')
    origin = record.describe() if record else 'origin unknown'
    print(f'outputs: {origin}; {title or "protocol unknown"}')
    average = scoring.average_of(scores)
    print(f'{format_scores([*scores, average], network)}\nAvg PSNR: {average.rdn:.2f}')
    return report_verdict(average, args.min_psnr, verdict)


def report_verdict(average: scoring.Score, min_psnr: float | None, verdict: agreement.Verdict | None) -> int:
    """Return agreement.NOT_KEPT, with a line on stderr, if the accuracy is lower than asked for or not PyTorch's."""
    if min_psnr is not None and not average.rdn >= min_psnr:
        reason = f'accuracy not met: {average.rdn:.3f} dB on average, --min-psnr asks for {min_psnr:g}'
    elif verdict and not verdict.is_kept:
        reason = f'accuracy not kept against PyTorch: {verdict.describe()}'
    else:
        return 0
    print(f'{os.path.basename(sys.argv[0])}: {reason}', file=sys.stderr)
    return agreement.NOT_KEPT


def parse_args(argv):
    def decibels(text):
        value = float(text)
        if not math.isfinite(value):
            raise ValueError(text)
        return value

    parser = cli.Parser(__doc__)
    parser.add_argument('--pred-path', required=True, help="folder of the device's outputs, or of ais_bench's runs")
    parser.add_argument('--label-path', required=True, help='folder of the labels, .npy')
    parser.add_argument('--result-path', required=True, help='result.json to write')
    parser.add_input_size()
    parser.add_argument('--scale', type=int, choices=cli.SCALES, default=2)
    parser.add_argument(
        '--network',
        choices=architectures.names(),
        default=configuration.GUIDE_NETWORK,
        help='its architecture, for captions; default %(default)s',
    )
    parser.add_argument(
        '--luma',
        choices=sorted(metrics.LUMA, reverse=True),
        default='rdn-pytorch',
        help='coefficients: those of the published figures (default), or BT.601',
    )
    parser.add_argument(
        '--allow-mismatch', action='store_true', help='count outputs that do not show what their labels show'
    )
    parser.add_argument('--reference', metavar='WEIGHTS', help='compare with what PyTorch makes of the same inputs')
    parser.add_argument(
        '--max-loss',
        type=decibels,
        default=agreement.MAX_LOSS,
        metavar='DB',
        help='with --reference: by how much the average may change, either way; default %(default)s',
    )
    parser.add_argument(
        '--max-image-loss',
        type=decibels,
        default=agreement.MAX_IMAGE_LOSS,
        metavar='DB',
        help="with --reference: by how much any image's PSNR may change; default %(default)s",
    )
    parser.add_argument(
        '--min-psnr', type=decibels, metavar='DB', help=f'end with status {agreement.NOT_KEPT} if the average is lower'
    )
    parser.add_argument(
        '--save-images',
        metavar='DIR',
        help='write there each super-resolved image and a sheet: bicubic | RDN | original',
    )
    parser.add_argument('--report', metavar='DIR', help='write there index.html, a page with before/after sliders')
    return parser.parse_args(argv)


if __name__ == '__main__':
    cli.run(main)
