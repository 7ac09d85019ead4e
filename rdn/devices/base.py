"""Base classes of the devices that can do step 5: an accelerator with its tools, or this machine's processor.

A module beside this one adds a device: benchmark.py, ais_bench.py, host.py. trtexec.py is a SpeedSource alone, as its
GPU is only compared with. choice.py lists them all.
"""

from __future__ import annotations

import abc
from typing import Callable, NamedTuple

from rdn import configuration, run_record
from rdn.devices import atc, chip, record, runner, speed


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


class Job(NamedTuple):
    """An inference that a device has to do.

    Attributes:
        config: the walk's configuration.
        batch_size: images in a batch.
        device_id: number of the device.
        chip: the device's chip.
        folder: where the results go; None for the places of the guide's own walk, and no run without data.
        step: shows a command of the guide and runs it.
    """

    config: configuration.Configuration
    batch_size: int
    device_id: int
    chip: chip.Chip
    folder: str | None
    step: Callable[..., None]

    def rounds(self, usual: int, least: int) -> int:
        """How often to run without data: `usual` images, but `least` batches."""
        return max(least, usual // self.batch_size)


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


class Device(SpeedSource):
    """What does the work of step 5.

    Attributes:
        title: for the console.
        needs_chip: whether it has a chip whose name atc and records need.
        assumed_soc_version: the chip's name for atc if the machine does not report one; None if the user must name it.
        has_guides_places: whether the guide's own walk, with batches of 1, runs on it.
    """

    title: str
    needs_chip = True
    assumed_soc_version: str | None = None
    has_guides_places = False

    def __init__(self, programs: runner.Runner = runner.LOCAL):
        self.programs = programs
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

    def convert(self, config: configuration.Configuration, batch_size: int, soc_version: str) -> str:
        """Make the model that the device runs from the exported one, by atc, and return its path.

        Raises:
            ValueError: the conversion fails.
        """
        return atc.convert(config, batch_size, soc_version, self.programs)

    @abc.abstractmethod
    def infer(self, job: Job) -> Run:
        """Run a model over the prepared images and, outside of the guide's own walk, without data.

        Raises:
            ValueError: the tool fails, or leaves out an output or its speed.
        """

    def model(self, job: Job) -> str:
        """The path of the model that it runs."""
        return f'{job.config.model(job.batch_size)}.om'

    def infer_and_record(self, job: Job) -> Run:
        """Run `infer`, and leave a record beside each of its results."""
        # Made before the run, so the record describes the model and inputs that the run reads.
        of_run = record.make(self.name, job.chip, job.batch_size, self.model(job), job.config.inputs)
        run = self.infer(job)
        for target in filter(None, run):
            run_record.write(target, of_run)
        return run
