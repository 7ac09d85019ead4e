"""A folder of outputs judged against a prepared set's labels: scores, agreement with PyTorch, result.json."""

from __future__ import annotations

from typing import Callable, Iterable, NamedTuple, Sequence

from rdn import cli, configuration, cpu, run_record
from rdn.accuracy import agreement, metrics, pytorch_outputs, result, scoring, tone
from rdn.data import dataset, manifest, protocols

import numpy as np

# Receives each image: its position among the images, the image, its score and the rules. Threads call it at once.
Show = Callable[[int, scoring.Result, 'scoring.Score | None', scoring.Rules], None]


class Outputs(NamedTuple):
    """The outputs of a device.

    Attributes:
        folder: where they are.
        find: from the folder and the names of the inputs, to the paths of each one's outputs.
        read: reads one output.
    """

    folder: str
    find: Callable[[str, Iterable[str]], dict[str, list[str]]]
    read: scoring.ReadOutputs


class Criteria(NamedTuple):
    """How outputs are to be judged.

    Attributes:
        width: of an input, pixels.
        height: of an input, pixels.
        scale: of the network.
        luma: a key of metrics.LUMA; None: as the protocol prescribes, else RDN-pytorch's.
        checks: whether an output that does not show what its label shows is an error.
        reference: weights with whose outputs in PyTorch the outputs are compared; None to compare with labels only.
        max_loss: dB by which the average may differ from PyTorch's.
        max_image_loss: dB by which any image may differ from PyTorch's.
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
    """The judgement of a set's outputs.

    Attributes:
        scores: of the images with a label; empty if there is none.
        agreements: of the same images with PyTorch; empty if they were not compared.
        origin: where the figures come from, and the verdict.
        note: how the outputs differ in brightness from the labels; None if they do not, or were compared with PyTorch's.
    """

    scores: list[scoring.Score]
    agreements: list[agreement.Agreement]
    origin: result.Origin
    note: str | None = None

    def average(self) -> scoring.Score:
        """Return the mean over the images."""
        return scoring.average_of(self.scores)

    def psnr(self) -> float:
        """Return the average in dB as result.json has it, with two decimals."""
        return float(result.two_decimals(self.average().rdn))

    def write(self, path: str) -> None:
        """Write result.json, and its record beside it."""
        result.write(path, [score.rdn for score in self.scores], self.origin)

    def describe(self, network: str = 'RDN') -> str:
        """Return the text for the console; its last line is the average PSNR. network: its title."""
        lines = []
        if self.origin.verdict:
            table = agreement.format_agreements(self.agreements)
            lines.append(f'{table}\nagainst PyTorch: {self.origin.verdict.describe()}\n')
        tool = self.origin.outputs.describe() if self.origin.outputs else 'origin unknown'
        lines.append(f'outputs: {tool}; {self.origin.title()}')
        lines.append(format_scores([*self.scores, self.average()], network))
        if self.note:
            lines.append(f'note: {self.note}; --reference=WEIGHTS tells whether the weights do so')
        lines.append(f'Avg PSNR: {self.average().rdn:.2f}')
        return '\n'.join(lines)


def assess(outputs: Outputs, labels: str, criteria: Criteria, show: Show | None = None) -> Assessment:
    """Judge the outputs of a prepared set.

    Args:
        outputs: of the set's inputs.
        labels: the set's label/.
        criteria: how they are judged.
        show: receives each image, as for a page; None if nothing is shown.

    Raises:
        ValueError: a label or an output is missing, not whole or of another size, or the set has no label and nothing
            is shown; with the file's name.
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
    """Read the record of what computed the outputs in a folder; None where it is not known.

    Args:
        folder: of the outputs.
        labels: the prepared set's label/.
        digest: run_record.digest_of the folder, if it is known already.

    Raises:
        ValueError: they were computed from another preparation than the labels are of.
    """
    record = run_record.read(folder, digest)
    prepared = manifest.digest_beside(labels)
    if record and record.manifest and prepared and record.manifest != prepared:
        raise ValueError(f'{folder}: computed from another preparation than {labels} is of: run inference on this one')
    return record


def format_scores(scores: Sequence[scoring.Score], network: str) -> str:
    """Format the console's table, one line for each image. network: its title."""
    rows = [('PSNR dB', 'bicubic', network, 'gain')]
    rows += [(stem, f'{bicubic:.2f}', f'{rdn:.2f}', f'{rdn - bicubic:+.2f}') for stem, bicubic, rdn in scores]
    return cli.format_table(rows)


def _check_labels(labels: str, cases: Sequence[dataset.Case], reference: str | None, is_shown: bool) -> None:
    """Raise ValueError where images without a label leave nothing to compare or to measure."""
    if reference and not all(case.label_path for case in cases):
        raise ValueError(f'{labels}: no labels, so no PSNR to compare: leave --reference out')
    if not is_shown and not any(case.label_path for case in cases):
        raise ValueError(f'{labels}: no labels, so nothing to measure: give --save-images or --report')


def planes_of(protocol: protocols.Protocol | None, luma: str | None) -> str:
    """The key of metrics.PLANES to measure on. Raises ValueError where flag and protocol differ."""
    prescribed = protocol.planes if protocol else None
    if protocol and prescribed and luma not in (None, prescribed):
        raise ValueError(f'--luma={luma}: {protocol.title} are measured on {prescribed}: leave the flag out')
    return prescribed or luma or metrics.DEFAULT_LUMA
