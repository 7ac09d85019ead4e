"""Compare a device's taps with PyTorch's: each stage's own error, and the PSNR that the result loses by it."""

from __future__ import annotations

from typing import Callable, Dict, Iterable, NamedTuple, Sequence

from rdn.accuracy import metrics, scoring
from rdn.comparison import changed_weight, explanation, rounding, sources
from rdn.data import dataset
from rdn.network import exporter, taps

import numpy as np
import torch
from torch import nn

FP32_LIMIT = 2e-5  # relative error that another order of additions explains in fp32; smaller ones are ignored
SAMPLES = 64  # values of each tap that are kept, to recognize a tap that belongs to another image
SAME = 0.1  # a tap belongs to another image if its error against that one is below this fraction of its own error

Shares = Dict[str, 'list[TapError]']  # name of a stage -> its errors, one for each input


class TapError(NamedTuple):
    """The comparison of one tap with PyTorch's, for one input.

    Attributes:
        stem: name of the input without the ending.
        largest: largest absolute difference from PyTorch's own run.
        relative: relative error against PyTorch's own run: ||device - PyTorch|| / ||PyTorch||.
        cosine: cosine similarity with PyTorch's own run.
        share: relative error of this stage alone: PyTorch computes the stage from the device's preceding taps; nan if
            these are not finite.
        predicted: share that rounding to the device's precision causes, as simulated.
        kind: kind of the difference, in words; empty if rounding explains the share.
        samples: some values of the device's tap.
        reference_samples: the same values of PyTorch's own run.
    """

    stem: str
    largest: float
    relative: float
    cosine: float
    share: float
    predicted: float
    kind: str
    samples: np.ndarray
    reference_samples: np.ndarray


class ImageLoss(NamedTuple):
    """The PSNRs of an image in dB.

    Attributes:
        stem: name of the image without the ending.
        reference: PSNR of PyTorch's own result.
        so_far: for each stage in order, PSNR if the device computes all stages up to it and PyTorch the rest.
    """

    stem: str
    reference: float
    so_far: list[float]


class Comparison(NamedTuple):
    """The comparison of a device's taps with PyTorch's, for a whole prepared set.

    Attributes:
        names: names of the stages, in order.
        precision: precision of the device's arithmetic, as assumed in the comparison.
        shares: errors of each stage.
        losses: PSNRs of each image.
    """

    names: list[str]
    precision: str
    shares: Shares
    losses: list[ImageLoss]


class Meter:
    """Measure a device's taps, one input after the other.

    Attributes:
        stages: stages of the network, in order.
        shares: errors of each stage, for the inputs that were measured.
    """

    def __init__(self, network: nn.Module, device_taps: sources.DeviceTaps, precision: str):
        """Take a network and the taps to compare with it.

        Args:
            network: PyTorch's network, in evaluation mode.
            device_taps: the device's taps.
            precision: precision of the device's arithmetic, one of rounding.PRECISIONS.
        """
        self._network, self._device_taps, self._precision = network, device_taps, precision
        self.stages = exporter.stages_of(network)
        self.shares: Shares = {stage.name: [] for stage in self.stages}
        self._rounded: dict[str, rounding.Rounded] = {}
        self._can_find_weight = True  # only once for a set, because the search is slow

    def measure(self, stem: str, lr: np.ndarray, on_step: Callable[[], object]) -> tuple[np.ndarray, list[np.ndarray]]:
        """Measure an input's taps, and add their errors to `shares`.

        Args:
            stem: name of the input without the ending.
            lr: the input, float32 (3, H, W).
            on_step: function that is called after each stage.

        Returns:
            (PyTorch's result, a list with one result for each stage). In the list, the device has computed all stages
            up to that one, and PyTorch the rest. All results are (3, scale*H, scale*W).

        Raises:
            ValueError: a tap is missing or has another shape; the message names the file.
        """
        image = torch.from_numpy(lr)[None]
        with torch.no_grad():
            reference = taps.complete(self.stages, {taps.IMAGE: image})
        shapes = {name: tuple(reference[name].shape[1:]) for name in taps.output_names(self.stages)}
        found = self._device_taps.read(stem, lr, shapes)
        device = {name: torch.from_numpy(np.ascontiguousarray(tap))[None] for name, tap in found.items()}
        device[taps.IMAGE] = image
        results = []
        for index, stage in enumerate(self.stages):
            self.shares[stage.name].append(self._compare(stem, stage, device, reference))
            known = {name: device[name] for name in (taps.IMAGE, *[each.name for each in self.stages[: index + 1]])}
            with torch.no_grad():
                results.append(taps.complete(self.stages, known)[taps.RESULT][0].numpy())
            on_step()
        return reference[taps.RESULT][0].numpy(), results

    def _compare(self, stem: str, stage: taps.Stage, device: taps.Values, reference: taps.Values) -> TapError:
        own, whole = device[stage.name][0].numpy(), reference[stage.name][0].numpy()
        share, predicted, kind = float('nan'), 0.0, ''
        if all(bool(torch.isfinite(device[name]).all()) for name in stage.inputs):
            with torch.no_grad():
                expected = stage.run(device)[0].numpy()
            share = explanation.relative_error(own, expected)
            predicted, overflows = self._predict(stage, device, expected)
            limit = explanation.FACTOR * predicted
            if share > limit:
                evidence = self._evidence(stage, device, reference, expected)
                kind = explanation.explain(evidence._replace(limit=limit, overflows=overflows))
        with np.errstate(invalid='ignore', over='ignore'):
            largest = float(np.abs(own - whole).max())
            norms = np.linalg.norm(own.ravel()) * np.linalg.norm(whole.ravel())
            cosine = float(np.vdot(own, whole) / norms) if norms else 0.0
        error = explanation.relative_error(own, whole)
        return TapError(stem, largest, error, cosine, share, predicted, kind, _samples(own), _samples(whole))

    def _predict(self, stage: taps.Stage, device: taps.Values, expected: np.ndarray) -> tuple[float, bool]:
        """Return the share that rounding causes, and whether values inside the stage overflow fp16."""
        if self._precision == 'fp32':
            return FP32_LIMIT / explanation.FACTOR, False
        rounded = self._round(stage, device, self._precision)
        overflows = self._precision == 'fp16' and self._rounded['fp16'].largest > rounding.LARGEST_FP16
        return max(explanation.relative_error(rounded, expected), FP32_LIMIT / explanation.FACTOR), overflows

    def _round(self, stage: taps.Stage, device: taps.Values, precision: str) -> np.ndarray:
        if precision not in self._rounded:
            self._rounded[precision] = rounding.Rounded(self._network, precision)
        with torch.no_grad():
            return self._rounded[precision].run(stage.name, device)[0].numpy()

    def _evidence(
        self, stage: taps.Stage, device: taps.Values, reference: taps.Values, expected: np.ndarray
    ) -> explanation.Evidence:
        without = None
        if stage.without_residual:
            with torch.no_grad():
                without = stage.without_residual(*[device[name] for name in stage.inputs])[0].numpy()
        others = {
            name: tap[0].numpy()
            for name, tap in reference.items()
            if name not in (stage.name, taps.IMAGE) and tap.shape == reference[stage.name].shape
        }

        def find_weight() -> str | None:
            if not self._can_find_weight:
                return None
            self._can_find_weight = False
            return changed_weight.find(self._network, stage, device, device[stage.name])

        return explanation.Evidence(
            device=device[stage.name][0].numpy(),
            expected=expected,
            limit=0.0,
            rounded=lambda precision: self._round(stage, device, precision),
            coarser=rounding.PRECISIONS[rounding.PRECISIONS.index(self._precision) + 1 :],
            without_residual=without,
            others=others,
            from_wrong_inputs=_from_wrong_inputs(stage, device),
            find_weight=find_weight,
        )


def measure(
    meter: Meter, labels: str, cases: Sequence[dataset.Case], rules: scoring.Rules, on_step: Callable[[], object]
) -> list[ImageLoss]:
    """Measure all images of a prepared set, and return their PSNRs. The errors of the taps are in `meter.shares`.

    Args:
        meter: the Meter that measures each input.
        labels: the set's label/.
        cases: the set's images, all with labels.
        rules: sizes, and how PSNR is measured.
        on_step: function that is called after each stage of each input.

    Raises:
        ValueError: an input, a label or a tap is missing or has another size; the message names the file.
    """
    losses = []
    for case in cases:
        hr = dataset.read_label(str(case.label_path), dataset.output_shape(case, *rules[:3]))
        measured: dict[str, tuple[np.ndarray, list[np.ndarray]]] = {}
        for stem in case.input_stems():
            lr = dataset.read_input(dataset.input_path(labels, stem), rules.width, rules.height)
            measured[stem] = meter.measure(stem, lr, on_step)
        reference = _psnr(case, {stem: result for stem, (result, _) in measured.items()}, hr, rules)
        stages = zip(*[results for _, results in measured.values()])
        so_far = [_psnr(case, dict(zip(measured, results)), hr, rules) for results in stages]
        losses.append(ImageLoss(case.stem, reference, so_far))
    return losses


def _psnr(case: dataset.Case, parts: dict[str, np.ndarray], hr: np.ndarray, rules: scoring.Rules) -> float:
    sr = scoring.join_outputs(case, parts.__getitem__)
    return metrics.sr_psnr(sr, hr, rules.border, metrics.PLANES[rules.planes])


def _from_wrong_inputs(stage: taps.Stage, device: taps.Values) -> dict[str, np.ndarray]:
    """Return a stage's tap for each usual mistake with the input; empty if the stage does not read the input."""
    if taps.IMAGE not in stage.inputs:
        return {}
    found = {}
    for words, image in explanation.wrong_images(device[taps.IMAGE][0].numpy()):
        values = {**device, taps.IMAGE: torch.from_numpy(np.ascontiguousarray(image))[None]}
        with torch.no_grad():
            found[words] = stage.run(values)[0].numpy()
    return found


def _samples(tap: np.ndarray) -> np.ndarray:
    """Return SAMPLES values of a tap, from places that are the same in all taps of one shape."""
    places = np.random.RandomState(0).randint(0, tap.size, SAMPLES)
    return tap.ravel()[places]


def image_of(error: TapError, errors: Iterable[TapError]) -> str | None:
    """Find the other input to which a device's tap belongs.

    Args:
        error: the tap's error.
        errors: the errors of the same stage for all inputs.

    Returns:
        The name of the input whose tap in PyTorch matches; None if there is no such input.
    """
    for other in errors:
        if other.stem != error.stem:
            difference = explanation.relative_error(error.samples, other.reference_samples)
            if difference < SAME * explanation.relative_error(error.samples, error.reference_samples):
                return other.stem
    return None
