"""Estimate the memory and time of a run, and divide its minutes between training and measuring."""

from __future__ import annotations

import resource
import sys

from rdn.training import reporter, trainer, validation

import torch

# The interval between progress lines is at least the time of a whole measurement divided by this. A line takes less
# than this share of the time, because it measures by one protocol only.
MEASURING_SHARE = 0.2


def describe_memory(device: torch.device) -> str:
    """Return the highest memory use until now, on this machine and on the device, in words."""
    unit = 1 if sys.platform == 'darwin' else 1024  # unit of ru_maxrss in bytes
    here = f'{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30:.1f} GiB of memory'
    if device.type != 'cuda':
        return here
    return f'{torch.cuda.max_memory_reserved() / 2**30:.1f} GiB on the GPU, {here} here'


def describe_way(run: trainer.Trainer, remark: str) -> str:
    """Return the precision and the device of the run, in words.

    Args:
        run: the run.
        remark: why it is not the fastest way; '' if it is.
    """
    device = run.steps.device
    where = torch.cuda.get_device_name() if device.type == 'cuda' else 'this processor'
    end = f', the last {trainer.FP32_SHARE:.0%} in fp32,' if run.steps.precision == 'bf16' else ''
    return f'{run.steps.precision}{end} on {where}' + (f' ({remark})' if remark else '')


def make(run: trainer.Trainer, evaluation: validation.Evaluation, report_minutes: float | None) -> reporter.Reporter:
    """Time a step and a measurement, print the time and memory that the run needs, and divide its minutes.

    Args:
        run: the run. If --minutes is its length, its `total_seconds` is set to the part for training.
        evaluation: the images to measure.
        report_minutes: interval between progress lines in minutes; None to choose one.

    Returns:
        The Reporter of the run.
    """
    step_seconds = run.steps.trial_seconds()
    closing = evaluation.estimate_seconds(run.steps.average)
    memory = describe_memory(run.steps.device)
    print(f'{step_seconds:.2g} s a step, {memory}' + (f', {closing:.0f} s to measure' if evaluation.folders else ''))
    if run.settings['steps']:
        training, goal = run.settings['steps'] * step_seconds, f'{run.settings["steps"]:,} steps'
    else:
        total = 60 * run.settings['minutes']
        run.total_seconds = training = max(total - closing, total / 2)
        goal = f'about {max(1, round(training / step_seconds)):,} steps'
    every = 60 * report_minutes if report_minutes else max(training / 10, closing / MEASURING_SHARE)
    measuring = closing if run.total_seconds else closing * (1 + training // every)
    print(f'{goal}; with measuring, {reporter.format_time(training + measuring)} minutes', flush=True)
    if run.total_seconds and closing > 60 * run.settings['minutes'] / 2:
        print('measuring takes more than half of --minutes: give --eval-path fewer images')
    return reporter.Reporter(run, evaluation, closing, every)
