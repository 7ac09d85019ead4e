"""The steps of the walk: each one's command, shown and run in its turn. The scripts of the guide start here alone."""

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

Run = Callable[..., int]  # as run_step


class Plan(NamedTuple):
    """What a walk is to do.

    Attributes:
        steps: all, convert or measure, as the flag has them.
        config: the network, and the paths of all files.
        machine: what it runs on.
        batch_sizes: of the models, in their order.
        reference: the weights whose outputs the device's are compared with; None for no comparison.
        no_verdict: why there is none then.
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
        """Whether the walk is the guide's, whose files have their places in the guide."""
        return self.machine.device.has_guides_places and list(self.batch_sizes) == [1]

    @property
    def is_acceptance(self) -> bool:
        """Whether only the figures count, without pictures."""
        return self.steps == 'measure'


def step(*command: str) -> None:
    """Show a command of the guide and run it; end as it ends where it fails, since it has said why."""
    check(run_step(*command))


def check(status: int) -> None:
    """End with the status of a command that failed."""
    if status:
        sys.exit(status)


def run_step(*command: str) -> int:
    """Show a command of the guide, run it, and return its status."""
    return _run(command).returncode


def run_and_keep(errors: list[str], *command: str) -> int:
    """As run_step; append the lines that the command writes to stderr, and show them at its end."""
    done = _run(command, stderr=subprocess.PIPE)
    said = done.stderr.decode('utf-8', errors='replace')
    print(said, end='', file=sys.stderr, flush=True)
    errors.extend(line for line in said.splitlines() if line.strip())
    return done.returncode


def _run(command: Sequence[str], stderr: int | None = None) -> subprocess.CompletedProcess:
    """Show and run a command; a signal that ended it counts as a status, as in a shell."""
    runner.show(command)
    program = [sys.executable, *command[1:]] if command[0] == 'python3' else list(command)
    with runner.ending(subprocess.Popen(program, stderr=stderr, preexec_fn=runner.with_parent())) as process:
        _, said = process.communicate()
    status = process.returncode if process.returncode >= 0 else 128 - process.returncode
    return subprocess.CompletedProcess(program, status, stderr=said)


def sizes(config: configuration.Configuration) -> list[str]:
    """The flags of the input's size and the scale where they are not the guide's, which are the scripts' defaults."""
    if config.scale == configuration.GUIDE_SCALE:
        return []
    return [f'--height={config.side}', f'--width={config.side}', f'--scale={config.scale}']


def export_command(config: configuration.Configuration, variant: Sequence[str] = ()) -> list[str]:
    """The command of step 3.1. variant: flags for another graph."""
    flags = [*(sizes(config) or [f'--scale={config.scale}']), *variant]
    return ['python3', 'RDN_pth2onnx.py', f'--input-file={config.weights}', f'--output-file={config.onnx}', *flags]


def export(config: configuration.Configuration, variant: Sequence[str] = (), run: Run = run_step) -> None:
    """Step 3.1. variant: flags for another graph."""
    weights = files.digest(config.weights) if os.path.isfile(config.weights) else None
    check(run(*export_command(config, variant)))
    exported = run_record.Record(
        'RDN_pth2onnx.py', None, None, None, run_record.HOST, 1, files.digest(config.onnx), None
    )
    run_record.write(config.onnx, exported._replace(weights=config.weights, weights_digest=weights))


def convert(config: configuration.Configuration, machine: choice.Machine, batch_sizes: Sequence[int]) -> list[str]:
    """Step 3.2, for each batch size; returns the paths of the models, none where nothing is converted."""
    if not (machine.converter and machine.soc_version):
        return []
    return [machine.converter.convert(config, batch_size, machine.soc_version) for batch_size in batch_sizes]


def prepare(config: configuration.Configuration, dataset: str | None) -> str:
    """Step 4; returns the folder of images: the given one, else Set5 where the guide has it, else five photographs."""
    if dataset is None and os.path.isdir(SET5):
        dataset = SET5
    elif dataset is None:
        dataset = SAMPLES
        step('python3', 'sample_images.py', dataset)
    step('python3', 'RDN_preprocess.py', f'--src-path={dataset}', f'--save-path=./{config.prepared}', *sizes(config))
    step('python3', 'gen_dataset_info.py', 'bin', config.inputs, config.info, str(config.side), str(config.side))
    return dataset


def infer(plan: Plan, batch_size: int) -> base.Run:
    """Step 5, on the prepared images and, outside of the guide's own walk, without data."""
    folder = None if plan.is_guides_own else plan.config.result_folder(batch_size)
    machine = plan.machine
    job = base.Job(plan.config, batch_size, machine.device_id, machine.chip, folder, step)
    return machine.device.infer_and_record(job)


def judge(plan: Plan, inferred: base.Run, result_path: str, images: str | None, run: Run = run_step) -> list[str]:
    """Step 6; returns its command. A lost accuracy is a verdict, which stands at the end of the walk.

    Args:
        plan: of the walk.
        inferred: what step 5 wrote.
        result_path: of result.json.
        images: a folder for pictures to look at; None for none.
        run: runs the command.
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
