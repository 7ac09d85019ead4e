"""The steps of the walk: the command of each step, and a function that shows and runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Callable, NamedTuple, Sequence

from rdn import cli, configuration, files, run_record
from rdn.accuracy import agreement
from rdn.devices import base, choice, runner

SET5 = '/root/dataset/set5'
SAMPLES = './sample_images'

Run = Callable[..., int]  # runs a command and returns its status, like run_step


class Plan(NamedTuple):
    """The plan of a walk.

    Attributes:
        steps: all, convert or measure: the value of --steps.
        config: the network, and the paths of all files.
        machine: the device and its tools.
        batch_sizes: the batch sizes to run, in order.
        reference: the weights for the comparison with PyTorch; None for no comparison.
        no_verdict: the text that replaces the verdict if nothing is compared.
        dataset: the folder of images; None for the default.
    """

    steps: str
    config: configuration.Configuration
    machine: choice.Machine
    batch_sizes: Sequence[int]
    reference: str | None
    no_verdict: str
    dataset: str | None

    @property
    def is_guides_own(self) -> bool:
        """Whether the walk writes the same files as the guide."""
        return self.machine.device.has_guides_places and list(self.batch_sizes) == [1]

    @property
    def is_acceptance(self) -> bool:
        """Whether the walk only measures accuracy and speed, and writes no pictures."""
        return self.steps == 'measure'


def step(*command: str) -> None:
    """Show a command of the guide and run it. If it fails, end with its status: it has printed the reason."""
    check(run_step(*command))


def check(status: int) -> None:
    """End the process with a command's status, unless the status is 0."""
    if status:
        sys.exit(status)


def run_step(*command: str) -> int:
    """Show a command of the guide, run it, and return its status."""
    return _run(command).returncode


def run_and_keep(errors: list[str], *command: str) -> int:
    """Show a command of the guide, run it, and return its status, like run_step, but keep its errors.

    Args:
        errors: a list, to which the non-blank lines of the command's stderr are appended. Stderr is also shown when the
            command ends.
        command: the command and its arguments.
    """
    done = _run(command, stderr=subprocess.PIPE)
    said = done.stderr.decode('utf-8', errors='replace')
    print(said, end='', file=sys.stderr, flush=True)
    errors.extend(line for line in said.splitlines() if line.strip())
    return done.returncode


def _run(command: Sequence[str], stderr: int | None = None) -> subprocess.CompletedProcess:
    """Show and run a command. If a signal ends it, the status is 128 plus the signal's number, as in a shell."""
    runner.show(command)
    program = [sys.executable, *command[1:]] if command[0] == 'python3' else list(command)
    with runner.ending(subprocess.Popen(program, stderr=stderr, preexec_fn=runner.with_parent())) as process:
        _, said = process.communicate()
    status = process.returncode if process.returncode >= 0 else 128 - process.returncode
    return subprocess.CompletedProcess(program, status, stderr=said)


def sizes(config: configuration.Configuration) -> list[str]:
    """Return the flags for the input's size and the scale; none for the guide's, which are the scripts' defaults."""
    if config.scale == configuration.GUIDE_SCALE:
        return []
    return [f'--height={config.side}', f'--width={config.side}', f'--scale={config.scale}']


def export_command(config: configuration.Configuration, variant: Sequence[str] = ()) -> list[str]:
    """Return the command of step 3.1, export; `variant` has the flags for another graph."""
    flags = [*(sizes(config) or [f'--scale={config.scale}']), *variant]
    return ['python3', 'RDN_pth2onnx.py', f'--input-file={config.weights}', f'--output-file={config.onnx}', *flags]


def export(config: configuration.Configuration, variant: Sequence[str] = (), run: Run = run_step) -> None:
    """Run step 3.1: export the weights to ONNX, and record which weights were exported.

    Args:
        config: the configuration of the walk.
        variant: the flags for another graph.
        run: runs the command.
    """
    weights = files.digest(config.weights) if os.path.isfile(config.weights) else None
    check(run(*export_command(config, variant)))
    exported = run_record.Record(
        'RDN_pth2onnx.py', None, None, None, run_record.HOST, 1, files.digest(config.onnx), None
    )
    run_record.write(config.onnx, exported._replace(weights=config.weights, weights_digest=weights))


def convert(config: configuration.Configuration, machine: choice.Machine, batch_sizes: Sequence[int]) -> list[str]:
    """Run step 3.2: convert the model for each batch size.

    Returns:
        The paths of the converted models; an empty list if there is no converter.
    """
    if not (machine.converter and machine.soc_version):
        return []
    return [machine.converter.convert(config, batch_size, machine.soc_version) for batch_size in batch_sizes]


def prepare(config: configuration.Configuration, dataset: str | None) -> str:
    """Run step 4: prepare the images, and list the inputs for benchmark.

    Args:
        config: the configuration of the walk.
        dataset: the folder of images; None: SET5 if it exists, else five photographs.

    Returns:
        The folder of images.
    """
    if dataset is None and os.path.isdir(SET5):
        dataset = SET5
    elif dataset is None:
        dataset = SAMPLES
        step('python3', 'sample_images.py', dataset)
    step('python3', 'RDN_preprocess.py', f'--src-path={dataset}', f'--save-path=./{config.prepared}', *sizes(config))
    step('python3', 'gen_dataset_info.py', 'bin', config.inputs, config.info, str(config.side), str(config.side))
    return dataset


def infer(plan: Plan, batch_size: int) -> base.Run:
    """Run step 5, inference on the prepared images.

    If the walk does not write the same files as the guide, it also measures inference on random input.
    """
    folder = None if plan.is_guides_own else plan.config.result_folder(batch_size)
    machine = plan.machine
    job = base.Job(plan.config, batch_size, machine.device_id, machine.chip, folder, step)
    return machine.device.infer_and_record(job)


def judge(plan: Plan, inferred: base.Run, result_path: str, images: str | None, run: Run = run_step) -> list[str]:
    """Run step 6: score the outputs. If accuracy is lost, the walk goes on; the verdict appears at its end.

    Args:
        plan: the plan of the walk.
        inferred: the files that step 5 wrote.
        result_path: the path of result.json.
        images: the folder for pictures to look at; None to write no pictures.
        run: runs the command.

    Returns:
        The command.
    """
    config = plan.config
    flags = [f'--width={config.side}', f'--height={config.side}', f'--scale={config.scale}', *config.caption_flags]
    if images:
        ending = (*(f'_x{scale}.png' for scale in cli.SCALES), '_sheet.png')
        for name in os.listdir(images) if os.path.isdir(images) else []:
            if name.endswith(ending):  # of an earlier walk
                os.remove(os.path.join(images, name))
        flags.append(f'--save-images=./{images}')
    places = [f'--pred-path=./{inferred.outputs}', f'--label-path={config.labels}', f'--result-path=./{result_path}']
    reference = [f'--reference={plan.reference}'] if plan.reference else []
    command = ['python3', 'RDN_postprocess.py', *places, *flags, *reference]
    status = run(*command)
    if status != agreement.NOT_KEPT:
        check(status)
    return command
