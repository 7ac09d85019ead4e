"""Judge a folder of outputs by a prepared set's labels: scores, agreement with PyTorch, and result.json."""

from __future__ import annotations

from typing import Callable, Iterable, NamedTuple, Sequence

from rdn import cli, configuration, cpu, run_record
from rdn.accuracy import agreement, metrics, pytorch_outputs, result, scoring, tone
from rdn.data import dataset, manifest, protocols

import numpy as np

# Called with each image: its position among the images, the image, its score and the rules; by several threads at once.
Show = Callable[[int, scoring.Result, 'scoring.Score | None', scoring.Rules], None]


class Outputs(NamedTuple):
    """The outputs of a device.

    Attributes:
        folder: folder of the outputs.
        find: function that finds the outputs: find(folder, names of the inputs) -> {name: paths of its outputs}.
        read: function that reads one output.
    """

    folder: str
    find: Callable[[str, Iterable[str]], dict[str, list[str]]]
    read: scoring.ReadOutputs


class Criteria(NamedTuple):
    """How to judge outputs.

    Attributes:
        width: width of an input, in pixels.
        height: height of an input, in pixels.
        scale: scale of the network.
        luma: key of metrics.LUMA; None for the protocol's choice, or RDN-pytorch's if the protocol has none.
        checks: whether it is an error if an output shows another picture than its label.
        reference: path of the weights for PyTorch's outputs; None to compare with the labels only.
        max_loss: limit in dB for the change of the average against PyTorch.
        max_image_loss: limit in dB for the change of any image against PyTorch.
    """

    width: int = configuration.GUIDE_SIDE
    height: int = configuration.GUIDE_SIDE
    scale: int = configuration.GUIDE_SCALE
    luma: str | None = None
    checks: bool = True
    reference: str | None = None
    max_loss: float = agreement.MAX_LOSS
    max_image_loss: float = agreement.MAX_IMAGE_LOSS


class Assessment(NamedTuple):
    """The scores of a set's outputs and the verdict on them.

    Attributes:
        scores: scores of the images that have a label.
        agreements: agreement of the same images with PyTorch; empty if they were not compared.
        origin: source of the figures, and the verdict.
        note: how the outputs differ from the labels in brightness; None if they do not, or if they were compared with
            PyTorch's.
    """

    scores: list[scoring.Score]
    agreements: list[agreement.Agreement]
    origin: result.Origin
    note: str | None = None

    def average(self) -> scoring.Score:
        """Return the mean over the images."""
        return scoring.average_of(self.scores)

    def psnr(self) -> float:
        """Return the average PSNR in dB, rounded to two decimals as in result.json."""
        return float(result.two_decimals(self.average().rdn))

    def write(self, path: str) -> None:
        """Write result.json to `path`, and its record beside it."""
        result.write(path, [score.rdn for score in self.scores], self.origin)

    def describe(self, network: str = 'RDN') -> str:
        """Return the text for the console, which ends with the average PSNR.

        Args:
            network: the network's title, a column header.
        """
        lines = []
        if self.origin.verdict:
            table = agreement.format_agreements(self.agreements)
            lines.append(f'{table}\nagainst PyTorch: {self.origin.verdict.describe()}')
            lines.append(f'verdict: {self.origin.verdict.summarize()}\n')
        tool = self.origin.outputs.describe() if self.origin.outputs else 'origin unknown'
        lines.append(f'outputs: {tool}; {self.origin.title()}')
        lines.append(format_scores([*self.scores, self.average()], network))
        if self.note:
            lines.append(f'note: {self.note}; --reference=WEIGHTS shows whether the weights are the cause')
        lines.append(f'Avg PSNR: {self.average().rdn:.2f}')
        return '\n'.join(lines)


def assess(outputs: Outputs, labels: str, criteria: Criteria, show: Show | None = None) -> Assessment:
    """Judge the outputs of a prepared set.

    Args:
        outputs: the outputs for the set's inputs.
        labels: the set's label/.
        criteria: how to judge.
        show: function that is called with each image, to save it or to add it to a report; None for no such function.

    Raises:
        ValueError: a label or an output is missing, truncated or of another size; or the set has no labels and `show`
            is None; or the outputs changed during the call. The message names the file.
    """
    size = criteria.width, criteria.height, criteria.scale
    cases = dataset.find_cases(labels, *size)
    _check_labels(labels, cases, criteria.reference, show is not None)
    digest = run_record.digest_of(outputs.folder)
    record = read_record(outputs.folder, labels, digest)
    paths = outputs.find(outputs.folder, [stem for case in cases for stem in case.input_stems()])
    protocol = dataset.protocol_of(labels)
    border = (protocol or protocols.CROP).border(criteria.scale)
    rules = scoring.Rules(*size, border, planes_of(protocol, criteria.luma), criteria.checks)
    reference = None
    if criteria.reference:
        stems = [stem for case in cases for stem in case.input_stems()]
        reference = pytorch_outputs.find(
            pytorch_outputs.ReferenceRun(criteria.reference, labels, stems, criteria.width, criteria.height)
        )

    def judge(
        position: int, case: dataset.Case
    ) -> tuple[scoring.Score | None, np.ndarray | None, agreement.Agreement | None]:
        own = {stem: paths[stem] for stem in case.input_stems()}
        score, sums, image = elsewhere(scoring.measure, case, own, rules, bool(show or reference), outputs.read)
        if image and show:
            show(position, image, score, rules)
        return score, sums, scoring.compare(image, score, reference, rules) if image and score and reference else None

    with cpu.other_processes(cpu.available_cores()) as elsewhere:
        done = cpu.map_in_order(lambda numbered: judge(*numbered), enumerate(cases))
        judged = list(cli.progress(done, 'image', len(cases)))
    scores = [score for score, _, _ in judged if score]
    agreements = [compared for _, _, compared in judged if compared]
    tones = [sums for _, sums, _ in judged if sums is not None]
    verdict = agreement.judge(agreements, criteria.max_loss, criteria.max_image_loss) if agreements else None
    names = protocol and protocol.name, dataset.known_set_of(labels)
    label_size = None if protocol and protocol.is_whole else (rules.width * rules.scale, rules.height * rules.scale)
    if run_record.digest_of(outputs.folder) != digest:
        raise ValueError(f'{outputs.folder}: its outputs changed while they were judged: wait until inference is done')
    judged_outputs = outputs.folder, digest
    origin = result.Origin(*names, rules.planes, rules.scale, label_size, len(scores), record, verdict, *judged_outputs)
    return Assessment(scores, agreements, origin, tone.note(tones) if tones and not verdict else None)


def read_record(folder: str, labels: str, digest: str | None = None) -> run_record.Record | None:
    """Read the record of the run that computed the outputs in a folder; return None if there is no record.

    Args:
        folder: folder of the outputs.
        labels: the prepared set's label/.
        digest: `run_record.digest_of(folder)`, if it is already known.

    Raises:
        ValueError: the outputs were computed from another prepared set than this one.
    """
    record = run_record.read(folder, digest)
    prepared = manifest.digest_beside(labels)
    if record and record.manifest and prepared and record.manifest != prepared:
        raise ValueError(f'{folder}: computed from another preparation than {labels}: run inference again, on this set')
    return record


def format_scores(scores: Sequence[scoring.Score], network: str) -> str:
    """Format the console's table, one line for each score.

    Args:
        scores: the scores.
        network: the network's title, a column header.
    """
    rows = [('PSNR dB', 'bicubic', network, 'gain')]
    rows += [(stem, f'{bicubic:.2f}', f'{rdn:.2f}', f'{rdn - bicubic:+.2f}') for stem, bicubic, rdn in scores]
    return cli.format_table(rows)


def _check_labels(labels: str, cases: Sequence[dataset.Case], reference: str | None, is_shown: bool) -> None:
    """Raise ValueError if labels are missing, and the comparison with PyTorch or all measurements need them."""
    if reference and not all(case.label_path for case in cases):
        raise ValueError(f'{labels}: no labels, so no PSNR to compare: leave --reference out')
    if not is_shown and not any(case.label_path for case in cases):
        raise ValueError(f'{labels}: no labels, so nothing to measure: give --save-images or --report')


def planes_of(protocol: protocols.Protocol | None, luma: str | None) -> str:
    """Return the key of metrics.PLANES on which PSNR is measured.

    Args:
        protocol: the set's protocol; None if it is not known.
        luma: the value of --luma; None if the user gave none.

    Raises:
        ValueError: the user's choice differs from the one that the protocol prescribes.
    """
    prescribed = protocol.planes if protocol else None
    if protocol and prescribed and luma not in (None, prescribed):
        raise ValueError(f'--luma={luma}: {protocol.title} are measured on {prescribed}: leave the flag out')
    return prescribed or luma or metrics.DEFAULT_LUMA
