"""Base classes of the devices that can do step 5: an accelerator with its tools, or this machine's processor.

Each device has a module in this folder: benchmark.py, ais_bench.py, host.py. choice.py lists the devices.
ascend.py contains the code that all Ascend devices share. trtexec.py is only a SpeedSource: its GPU runs no step, and
is only compared with the device.
"""

from __future__ import annotations

import abc
from typing import Callable, NamedTuple, Sequence

from rdn import configuration, run_record
from rdn.devices import chip, record, runner, speed


class Run(NamedTuple):
    """The files of two runs: one over the images, and one without data, which measures pure inference.

    Attributes:
        outputs: the folder of outputs.
        speed: the file with the speed of the run over the images.
        pure_speed: the file with the speed of the run without data; None if there was no such run.
    """

    outputs: str
    speed: str
    pure_speed: str | None


class Mode(NamedTuple):
    """A precision that a device can compute in.

    Attributes:
        title: the name on the console.
        name: the name in file names: letters, digits and _.
        flags: for the converter if the device's models are converted, else for the program that runs the model.
        is_quantized: whether the mode runs an eight-bit model, which must be made first.
        is_of_graph: whether the speed depends on the variant of the graph; False if the network runs from its weights.
        is_slow: whether the run takes minutes, so that the speed is measured with few runs.
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
        folder: the folder for the results; None for the guide's own paths, without the run without data.
        step: shows a command of the guide and runs it.
        flags: of a mode, for a device whose models are not converted.
        is_slow: whether the run takes minutes, so that the speed is measured with few runs.
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
        """Return the number of batches for the run without data.

        Args:
            usual: how many images to compute.
            least: the smallest number of batches; a slow job runs no more than these.
        """
        return least if self.is_slow else max(least, usual // self.batch_size)


class SpeedSource(abc.ABC):
    """A tool whose log contains a speed.

    Attributes:
        name: the tool's name in `--with` and in records.
        assumed_chip: the chip to which a log without a record is attributed.
        is_of_card: whether the rate is already that of the whole card.
        is_reference: whether it measures the hardware that the device is compared with, not the device.
    """

    name: str
    assumed_chip: str
    is_of_card = False
    is_reference = False

    @classmethod
    @abc.abstractmethod
    def is_log(cls, text: str) -> bool:
        """Return whether a text is a log of this tool."""

    @classmethod
    @abc.abstractmethod
    def read_speed(cls, text: str) -> speed.Speed:
        """Read the Speed in a log.

        Raises:
            ValueError: the log is truncated, or contains several runs.
        """

    @classmethod
    def with_named_batch(cls, found: speed.Speed, named: int | None) -> speed.Speed:
        """Add the batch size to a Speed whose log lacks it.

        Args:
            found: the Speed in the log.
            named: the batch size in the file's name; None if the name has none. Then the batch size is 1.
        """
        return found._replace(batch=found.batch or named or 1)


class Target(NamedTuple):
    """The chip of a device.

    Attributes:
        chip: the chip, for records and figures.
        soc_version: the converter's name of the chip; None if no model is converted for it.
    """

    chip: chip.Chip
    soc_version: str | None


class Device(SpeedSource):
    """A device for step 5, together with the program that runs models on it.

    Attributes:
        title: the name on the console.
        is_accelerator: whether it has a chip of its own, whose name records need; False for this machine's processor.
        converter: the program that converts the exported model for it; None if it runs the exported model.
        converter_hint: what to do if the converter is missing.
        model_ending: the ending of the model files that it runs.
        has_guides_places: whether the guide's own walk, with batches of 1, runs on it.
        programs: finds, asks and runs its programs.
        device_id: the number of the device.
    """

    title: str
    is_accelerator = True
    converter: str | None = None
    converter_hint = ''
    model_ending = '.onnx'
    has_guides_places = False

    def __init__(self, programs: runner.Runner = runner.LOCAL, device_id: int = 0):
        self.programs, self.device_id = programs, device_id
        self._command: list[list[str] | None] = []  # one entry after the first search

    def command(self) -> list[str] | None:
        """Return the command that calls the device's program, as words; None if it is missing. Searches only once."""
        if not self._command:
            self._command.append(self.find())
        return self._command[0]

    @abc.abstractmethod
    def find(self) -> list[str] | None:
        """Search for the device's program.

        Returns:
            The command that calls it, as words; None if the program is missing.

        Raises:
            ValueError: the user named a program that does not work.
        """

    @abc.abstractmethod
    def file_name(self) -> str:
        """Return the name of the device's program, for messages."""

    @abc.abstractmethod
    def missing(self) -> str:
        """Say why the device cannot be used, and what to do."""

    def can_convert(self) -> bool:
        """Return whether the device's converter is on PATH, or the device needs none."""
        return self.converter is None or self.programs.find(self.converter) is not None

    @abc.abstractmethod
    def identify(self, soc_version: str | None) -> Target:
        """Find out which chip the device has.

        Args:
            soc_version: the converter's name of the chip, if the user gave it.

        Raises:
            ValueError: neither the machine nor the user names the chip; says what to do.
        """

    def convert(
        self, config: configuration.Configuration, batch_size: int, soc_version: str, flags: Sequence[str] = ()
    ) -> str:
        """Convert the exported model for the device, and return the path of the new model.

        A device without a converter runs the exported model itself.

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
        """Return the path of the model that the device runs. Only converted models differ between modes."""
        if self.converter is None:
            config = config._replace(mode='')
        return f'{config.model(batch_size)}{self.model_ending}'

    @abc.abstractmethod
    def modes(self) -> list[Mode]:
        """Return the precision modes of the device's models, the usual one first.

        Raises:
            ValueError: the converter cannot be run.
        """

    @abc.abstractmethod
    def mode_command(self, job: Job, soc_version: str | None, mode: Mode) -> str:
        """Return the command line with the mode's flags, which users can copy.

        It is the conversion if the device's models are converted, else the inference.

        Args:
            job: names the model.
            soc_version: the converter's name of the chip; None if nothing is converted.
            mode: one of `modes`.
        """

    def version(self) -> str | None:
        """Return the version of the device's toolkit, for records; None if it is unknown."""
        return None

    @abc.abstractmethod
    def infer(self, job: Job) -> Run:
        """Run a model over the prepared images and, if the job has a folder, without data.

        Raises:
            ValueError: the tool fails, or an output or the speed is missing.
        """

    def infer_and_record(self, job: Job) -> Run:
        """Run `infer`, and write a record for each of its results."""
        # The digests are computed before the run, so they describe the model and inputs that the run reads.
        source = record.Source(self.name, self.version(), job.chip)
        of_run = record.make(source, job.batch_size, self.model(job.config, job.batch_size), job.config.inputs)
        run = self.infer(job)
        for target in filter(None, run):
            run_record.write(target, of_run)
        return run
