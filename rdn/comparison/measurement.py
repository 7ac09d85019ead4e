"""A device's taps beside PyTorch's, an image at a time: each stage's own error, and what it costs the final result."""

from __future__ import annotations

from typing import Callable, Dict, Iterable, NamedTuple, Sequence

from rdn.accuracy import metrics, scoring
from rdn.comparison import changed_weight, explanation, rounding, sources
from rdn.data import dataset
from rdn.network import exporter, taps

import numpy as np
import torch
from torch import nn

FP32_LIMIT = 2e-5  # relative error that other orders of addition explain in fp32, and the least that counts
SAMPLES = 64  # values of a tap that are kept, to find an image's tap among those of other images
SAME = 0.1  # relative difference of the samples up to which two taps are of one image

Shares = Dict[str, 'list[TapError]']  # name of a stage -> its errors, one for each input


class TapError(NamedTuple):
    """A tap of one input beside PyTorch's.

    Attributes:
        stem: the input's name without ending.
        largest: absolute difference to PyTorch's own run.
        relative: error to PyTorch's own run, ||device - PyTorch|| / ||PyTorch||.
        cosine: the similarity to it.
        share: the relative error of this stage alone: to what PyTorch makes of the device's taps before it; nan where
            these are not finite.
        predicted: the share that rounding to the device's precision would have.
        kind: of the difference, in words; empty where rounding explains the share.
        samples: values of the device's tap.
        reference_samples: the same of PyTorch's own run.
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
        stem: the image's name.
        reference: of PyTorch's own result.
        so_far: for each stage, in their order, of what PyTorch makes of the device's taps up to it.
    """

    stem: str
    reference: float
    so_far: list[float]


class Comparison(NamedTuple):
    """A device's taps of a whole set.

    Attributes:
        names: of the stages, in their order.
        precision: of the device's arithmetic, as it was taken.
        shares: the errors of each stage.
        losses: of the images.
    """

    names: list[str]
    precision: str
    shares: Shares
    losses: list[ImageLoss]


class Meter:
    """Measures a device's taps of one input after the other."""

    def __init__(self, network: nn.Module, device_taps: sources.DeviceTaps, precision: str):
        """Take a network and what is compared with it.

        Args:
            network: in PyTorch, in evaluation mode.
            device_taps: the device's.
            precision: of the device's arithmetic, one of rounding.PRECISIONS.
        """
        self._network, self._device_taps, self._precision = network, device_taps, precision
        self.stages = exporter.stages_of(network)
        self.shares: Shares = {stage.name: [] for stage in self.stages}
        self._rounded: dict[str, rounding.Rounded] = {}
        self._can_find_weight = True  # once for a set: it takes some runs of a stage

    def measure(self, stem: str, lr: np.ndarray, on_step: Callable[[], object]) -> tuple[np.ndarray, list[np.ndarray]]:
        """Measure an input's taps, and keep their errors in `shares`.

        Args:
            stem: the input's name without ending.
            lr: the input, float32 (3, H, W).
            on_step: called after each stage.

        Returns:
            PyTorch's result, and for each stage what PyTorch makes of the device's taps up to it; each (3, h, w).
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
        """The share that rounding explains, and whether values inside the stage overflow fp16."""
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
            find_weight=find_weight,
        )


def measure(
    meter: Meter, labels: str, cases: Sequence[dataset.Case], rules: scoring.Rules, on_step: Callable[[], object]
) -> list[ImageLoss]:
    """Measure all images of a prepared set; return their PSNRs. The errors of their taps are in the meter's shares.

    Args:
        meter: measures an input.
        labels: the set's label/.
        cases: the set's images, which all have labels.
        rules: of the PSNR.
        on_step: called after each stage of each input.
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


def _samples(tap: np.ndarray) -> np.ndarray:
    """Values at places that are the same for all taps of a shape."""
    places = np.random.RandomState(0).randint(0, tap.size, SAMPLES)
    return tap.ravel()[places]


def image_of(error: TapError, errors: Iterable[TapError]) -> str | None:
    """Return the other input whose tap, by PyTorch, a device's tap is; None if there is none."""
    for other in errors:
        if other.stem != error.stem:
            difference = explanation.relative_error(error.samples, other.reference_samples)
            if difference < SAME * explanation.relative_error(error.samples, error.reference_samples):
                return other.stem
    return None
