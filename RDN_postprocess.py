"""Guide 6.1: compare the device's outputs with the labels: PSNR of each image and on average.

    python3 RDN_postprocess.py --pred-path=./result/dumpOutput_device0 --label-path=./prep_dataset/label --result-path=./result.json --width=114 --height=114 --scale=2

The script reads the outputs of benchmark, RDN_infer.py and ais_bench (a run's folder, or its parent) and writes
result.json. It prints each image's PSNR next to that of Pillow's bicubic upsampling. With --reference=rdn_x2.pth, it
also compares the outputs with those of PyTorch for the same inputs. The exit status is 3 if accuracy was not kept.
result.run.json, in the same folder as result.json, records the source of the figures for test/accept.py.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import sys

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from pictures.report import report, sheet
from rdn import cli, configuration, files, images
from rdn.acceptance import dumped
from rdn.accuracy import agreement, assessment, metrics, result, scoring
from rdn.network import architectures


def save_images(folder: str, image: scoring.Result, score: scoring.Score | None, scale: int, network: str) -> None:
    """Write STEM_x2.png, the super-resolved image, and STEM_sheet.png: bicubic | RDN | original.

    Args:
        folder: the folder for both files.
        image: the image and its versions.
        score: the PSNRs of the image; None if the original is not known, so the sheet does not show it.
        scale: the scale of the network.
        network: the title of the network, for captions.
    """
    captions = ['bicubic', network, 'original']
    if score:
        captions[:2] = [f'bicubic {score.bicubic:.2f} dB', f'{network} {score.rdn:.2f} dB']
    panels = [images.to_image(x) for x in (image.bicubic, image.sr, image.hr) if x is not None]
    for suffix, panel in ((f'x{scale}', panels[1]), ('sheet', sheet.compose(list(zip(captions, panels))))):
        with files.atomic_file(os.path.join(folder, f'{image.case.stem}_{suffix}.png')) as file:
            panel.save(file, 'PNG')


def add_to_report(
    page: report.Report, position: int, image: scoring.Result, score: scoring.Score | None, border: int
) -> None:
    """Add an image to the report.

    Args:
        page: the report.
        position: the image's position among all images.
        image: the image and its versions.
        score: the PSNRs of the image; None if the original is not known, so the page shows no PSNR and SSIM.
        border: the border that PSNR and SSIM leave out, in pixels.
    """
    bicubic, rdn = images.to_image(image.bicubic), images.to_image(image.sr)
    if score is None or image.hr is None:
        page.add(image.case.stem, report.Views(bicubic, rdn), position=position)
        return
    psnr = score.bicubic, score.rdn
    ssim = metrics.sr_ssim(image.bicubic, image.hr, border), metrics.sr_ssim(image.sr, image.hr, border)
    views = report.Views(bicubic, rdn, images.to_image(image.hr))
    page.add(image.case.stem, views, report.Figures(psnr, ssim), position)


def main(argv=None):
    args = parse_args(argv)
    outputs = dumped.open_folder(args.pred_path)
    judged_by = args.luma, not args.allow_mismatch, args.reference, args.max_loss, args.max_image_loss
    criteria = assessment.Criteria(args.width, args.height, args.scale, *judged_by)
    if args.report:
        import skimage.metrics  # noqa: F401 - takes a second; imported here, before the threads that use it

    network = architectures.title_of(args.network)

    def show(position: int, image: scoring.Result, score: scoring.Score | None, rules: scoring.Rules) -> None:
        if args.save_images:
            save_images(args.save_images, image, score, rules.scale, network)
        if page:
            add_to_report(page, position, image, score, rules.border)

    with contextlib.ExitStack() as stack:
        page = stack.enter_context(report.writing(args.report, network)) if args.report else None
        shown = show if args.save_images or args.report else None
        found = assessment.assess(outputs, args.label_path, criteria, shown)
    if page:
        cli.say(f'report: {page.path}')
    if not found.scores:
        return
    found.write(args.result_path)
    print(found.describe(network))
    return report_verdict(found.average(), args.min_psnr, found.origin.verdict)


def report_verdict(average: scoring.Score, min_psnr: float | None, verdict: agreement.Verdict | None) -> int:
    """Report on stderr if the accuracy is too low.

    Args:
        average: the average PSNRs.
        min_psnr: the value of --min-psnr in dB; None without the flag.
        verdict: the verdict of the comparison with PyTorch; None without a comparison.

    Returns:
        The exit status: 0, or agreement.NOT_KEPT if the average is below `min_psnr` or the verdict is negative.
    """
    if min_psnr is not None and not average.rdn >= min_psnr:
        reason = f'accuracy not met: {average.rdn:.3f} dB on average, but --min-psnr asks for {min_psnr:g}'
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

    def limit(text):
        value = decibels(text)
        if not 0 <= value <= result.MAX_PSNR:
            raise argparse.ArgumentTypeError(f'{text}: must be a number of dB from 0 to {result.MAX_PSNR}')
        return value

    parser = cli.Parser(__doc__)
    parser.add_argument(
        '--pred-path', required=True, help="folder with the device's outputs, or with the runs of ais_bench"
    )
    parser.add_argument('--label-path', required=True, help='folder with the labels, .npy')
    parser.add_argument('--result-path', required=True, help='result.json to write')
    parser.add_input_size()
    parser.add_argument('--scale', type=int, choices=cli.SCALES, default=2)
    parser.add_argument(
        '--network',
        choices=architectures.names(),
        default=configuration.GUIDE_NETWORK,
        help='architecture of the network, for captions; default %(default)s',
    )
    parser.add_argument(
        '--luma',
        choices=sorted(metrics.LUMA, reverse=True),
        help=f'coefficients of luma: {metrics.DEFAULT_LUMA}, as in published figures (the default), or BT.601',
    )
    parser.add_argument(
        '--allow-mismatch',
        action='store_true',
        help='also score outputs that do not show the same image as their labels',
    )
    parser.add_argument(
        '--reference', metavar='WEIGHTS', help='compare with the outputs of PyTorch for the same inputs'
    )
    parser.add_argument(
        '--max-loss',
        type=limit,
        default=agreement.MAX_LOSS,
        metavar='DB',
        help='with --reference: largest accepted change of the average, up or down; default %(default)s',
    )
    parser.add_argument(
        '--max-image-loss',
        type=limit,
        default=agreement.MAX_IMAGE_LOSS,
        metavar='DB',
        help="with --reference: largest accepted change of an image's PSNR; default %(default)s",
    )
    parser.add_argument(
        '--min-psnr', type=decibels, metavar='DB', help=f'exit with status {agreement.NOT_KEPT} if the average is lower'
    )
    parser.add_argument(
        '--save-images',
        metavar='DIR',
        help='write each super-resolved image to this folder, and a sheet: bicubic | RDN | original',
    )
    parser.add_argument(
        '--report', metavar='DIR', help='write index.html to this folder: a page with before/after sliders'
    )
    return parser.parse_args(argv)


if __name__ == '__main__':
    cli.run(main)
