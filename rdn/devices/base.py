"""Base classes of the devices that can do step 5: an accelerator with its tools, or this machine's processor.

A module beside this one adds a device: benchmark.py, ais_bench.py, host.py. ascend.py has what the Ascend devices share.
trtexec.py is a SpeedSource only, because its GPU is what the device is compared with. choice.py lists the devices.
"""

from __future__ import annotations

import abc
from typing import Callable, NamedTuple, Sequence

from rdn import configuration, run_record
from rdn.devices import chip, record, runner, speed


class Run(NamedTuple):
    """The files that two runs wrote: one over the images, one without data.

    Attributes:
        outputs: the folder of outputs.
        speed: the file that says how fast the run over the images was.
        pure_speed: the same of the run without data; None if there was none.
    """

    outputs: str
    speed: str
    pure_speed: str | None


class Mode(NamedTuple):
    """A precision that a device can compute in.

    Attributes:
        title: for the console.
        name: for file names: letters, digits and _.
        flags: of the converter where the device's models are converted, else of the program that runs the model.
        is_quantized: the mode runs a model of eight bits, which has to be made first.
        is_of_graph: the speed depends on the variant of the graph; False if the network is computed from its weights.
        is_slow: it takes minutes, so the speed is measured with few runs.
    """

    title: str
    name: str
    flags: Sequence[str] = ()
    is_quantized: bool = False
    is_of_graph: bool = True
    is_slow: bool = False


class Job(NamedTuple):
    """An inference that a device has to do.

    Attributes:
        config: the walk's configuration.
        batch_size: images in a batch.
        device_id: number of the device.
        chip: the device's chip.
        folder: where the results go; None for the places of the guide's own walk, and no run without data.
        step: shows a command of the guide and runs it.
        flags: of a mode, for a device whose models are not converted.
        is_slow: as of a Mode.
    """

    config: configuration.Configuration
    batch_size: int
    device_id: int
    chip: chip.Chip
    folder: str | None
    step: Callable[..., None]
    flags: Sequence[str] = ()
    is_slow: bool = False

    def rounds(self, usual: int, least: int) -> int:
        """How often to run without data: `usual` images, but `least` batches, and no more than these if it is slow."""
        return least if self.is_slow else max(least, usual // self.batch_size)


class SpeedSource(abc.ABC):
    """A tool whose log says how fast something is.

    Attributes:
        name: as `--with` and records have it.
        assumed_chip: what a log without a record is taken to be measured on.
        is_of_card: the rate is of the whole card already.
        is_reference: it measures what the device is compared with, not the device.
    """

    name: str
    assumed_chip: str
    is_of_card = False
    is_reference = False

    @classmethod
    @abc.abstractmethod
    def is_log(cls, text: str) -> bool:
        """Whether a text is a log of this tool."""

    @classmethod
    @abc.abstractmethod
    def read_speed(cls, text: str) -> speed.Speed:
        """Read the Speed in a log. Raises ValueError for one that is truncated, or of several runs."""

    @classmethod
    def with_named_batch(cls, found: speed.Speed, named: int | None) -> speed.Speed:
        """Complete a Speed whose log does not give the batch size by the one in its file's name, if there is one."""
        return found._replace(batch=found.batch or named or 1)


class Target(NamedTuple):
    """The chip of a device.

    Attributes:
        chip: for records and figures.
        soc_version: the converter's name of the chip; None if no model is converted for it.
    """

    chip: chip.Chip
    soc_version: str | None


class Device(SpeedSource):
    """What does the work of step 5.

    Attributes:
        title: for the console.
        is_accelerator: whether it is more than this machine's processor: it has a chip whose name records need.
        converter: the program that makes its models from the exported one; None if it runs the exported one.
        converter_hint: what to do if that program is missing.
        model_ending: of the files that it runs.
        has_guides_places: whether the guide's own walk, with batches of 1, runs on it.
        programs: finds, asks and runs its programs.
        device_id: the number of the device that is meant.
    """

    title: str
    is_accelerator = True
    converter: str | None = None
    converter_hint = ''
    model_ending = '.onnx'
    has_guides_places = False

    def __init__(self, programs: runner.Runner = runner.LOCAL, device_id: int = 0):
        self.programs, self.device_id = programs, device_id
        self._command: list[list[str] | None] = []  # one entry, once it was looked for

    def command(self) -> list[str] | None:
        """How its program is called; as `find`, but looked for only once."""
        if not self._command:
            self._command.append(self.find())
        return self._command[0]

    @abc.abstractmethod
    def find(self) -> list[str] | None:
        """How its program is called; None if it is not here. Raises ValueError if the user named one that fails."""

    @abc.abstractmethod
    def file_name(self) -> str:
        """The name of its program, for messages."""

    @abc.abstractmethod
    def missing(self) -> str:
        """Why it is not here, and what to do."""

    def can_convert(self) -> bool:
        """Whether its converter is here, or it needs none."""
        return self.converter is None or self.programs.find(self.converter) is not None

    @abc.abstractmethod
    def identify(self, soc_version: str | None) -> Target:
        """Find out which chip the device has.

        Args:
            soc_version: the converter's name of the chip, if the user gave it.

        Raises:
            ValueError: the machine does not say it, and the user did not; with what to do.
        """

    def convert(
        self, config: configuration.Configuration, batch_size: int, soc_version: str, flags: Sequence[str] = ()
    ) -> str:
        """Make the model that the device runs from the exported one, and return its path.

        Args:
            config: names the models.
            batch_size: of the model.
            soc_version: the converter's name of the chip.
            flags: of a mode, for the converter.

        Raises:
            ValueError: the conversion fails.
        """
        return config.onnx

    def model(self, config: configuration.Configuration, batch_size: int) -> str:
        """The path of the model that it runs. A mode has a model of its own only where models are converted."""
        if self.converter is None:
            config = config._replace(mode='')
        return f'{config.model(batch_size)}{self.model_ending}'

    @abc.abstractmethod
    def modes(self) -> list[Mode]:
        """The precisions that its models can have, the usual one first.

        Raises:
            ValueError: the converter cannot be asked.
        """

    @abc.abstractmethod
    def mode_command(self, job: Job, soc_version: str | None, mode: Mode) -> str:
        """The line, to be copied, that has the mode's flags: the conversion where models are converted, else the inference.

        Args:
            job: names the model.
            soc_version: the converter's name of the chip; None where nothing is converted.
            mode: one of `modes`.
        """

    def version(self) -> str | None:
        """The version of its toolkit, for records; None if it is not known."""
        return None

    @abc.abstractmethod
    def infer(self, job: Job) -> Run:
        """Run a model over the prepared images and, outside of the guide's own walk, without data.

        Raises:
            ValueError: the tool fails, or leaves out an output or its speed.
        """

    def infer_and_record(self, job: Job) -> Run:
        """Run `infer`, and leave a record beside each of its results."""
        # Made before the run, so the record describes the model and inputs that the run reads.
        source = record.Source(self.name, self.version(), job.chip)
        of_run = record.make(source, job.batch_size, self.model(job.config, job.batch_size), job.config.inputs)
        run = self.infer(job)
        for target in filter(None, run):
            run_record.write(target, of_run)
        return run
