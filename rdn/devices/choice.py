"""The list of all devices, and the choice of one for step 5 on this machine."""

from __future__ import annotations

import os
from typing import NamedTuple, Sequence

from rdn.devices import acl, ais_bench, base, benchmark, chip, host, runner

# In order of preference.
DEVICES: tuple[type[base.Device], ...] = (benchmark.Benchmark, ais_bench.AisBench, acl.Acl, host.Host)
NAMES = tuple(kind.name for kind in DEVICES)


class Choice(NamedTuple):
    """A device, and the reason for choosing it."""

    device: base.Device
    reason: str


class Machine(NamedTuple):
    """The hardware and tools that the walk uses.

    Attributes:
        device: the device for the inference.
        reason: why it was chosen.
        chip: the device's chip.
        device_id: number of the device.
        converter: the device for which models are converted; None if nothing is converted.
        soc_version: the converter's name of the chip; None without a converter.
    """

    device: base.Device
    reason: str
    chip: chip.Chip
    device_id: int
    converter: base.Device | None
    soc_version: str | None

    def describe(self, batch_sizes: Sequence[int]) -> str:
        """Say which tool runs, on which chip, with which batch sizes, and why."""
        place = f'{self.chip.name}, device {self.device_id}'
        place = place if self.device.is_accelerator else "this machine's processor"
        return f'{self.device.title} on {place}, batches of {", ".join(map(str, batch_sizes))} ({self.reason})'


def find_machine(
    wanted: str | None, device_id: int, soc_version: str | None, steps: str, programs: runner.Runner = runner.LOCAL
) -> Machine:
    """Find the hardware and tools for the walk.

    Args:
        wanted: one of NAMES, or None.
        device_id: number of the device.
        soc_version: the converter's name of the chip, if the user gave it.
        steps: the value of the walk's flag: `all`, `convert` or `measure`.
        programs: finds and runs the tools.

    Raises:
        ValueError: a program or the chip's name is missing; says what to do.
    """
    converts = steps != 'measure'
    device, reason = choose(wanted, converts, programs, device_id)
    converter = _find_converter(device, wanted) if converts else None
    if steps == 'convert' and not converter:
        raise ValueError("no atc on PATH: it comes with the CANN toolkit; source the toolkit's set_env.sh")
    target = (converter or device).identify(soc_version)
    found = _with_named_devices(target.chip) if device.is_accelerator else host.CHIP
    return Machine(device, reason, found, device_id, converter, target.soc_version if converter else None)


def _find_converter(device: base.Device, wanted: str | None) -> base.Device | None:
    """Return the device for which models are converted.

    This is the device itself if its models are converted. If the user named no device and this machine has none, it is
    the first of DEVICES whose converter is on PATH: the models are then converted for another machine.
    """
    if device.is_accelerator:
        return device if device.converter else None
    others = [kind(device.programs, device.device_id) for kind in DEVICES if kind.converter] if wanted is None else []
    return next((other for other in others if other.can_convert()), None)


def _with_named_devices(found: chip.Chip) -> chip.Chip:
    """Return the chip, with the number of devices on its card from the variable CHIPS if that is set."""
    chips = os.environ.get('CHIPS')
    if not chips:
        return found
    if not chips.isdigit() or not int(chips):
        raise ValueError(f'CHIPS={chips}: must be the number of devices on a card, at least 1')
    return found._replace(card_devices=int(chips))


def choose(
    wanted: str | None, converts: bool = True, programs: runner.Runner = runner.LOCAL, device_id: int = 0
) -> Choice:
    """Choose the wanted device, else the first of DEVICES whose tools are installed.

    Args:
        wanted: one of NAMES, or None.
        converts: whether the walk converts models; if not, they must exist already.
        programs: finds and runs the tools.
        device_id: number of the device.

    Raises:
        ValueError: the tools of the wanted device are missing; says what to do.
    """
    devices = [kind(programs, device_id) for kind in DEVICES]
    if wanted:
        device = devices[NAMES.index(wanted)]
        if converts and not device.can_convert():
            raise ValueError(f'--with={wanted} needs {device.converter}, which is not on PATH: {device.converter_hint}')
        if not device.command():
            raise ValueError(f'--with={wanted}: {device.missing()}')
        return Choice(device, 'as asked')
    absent: list[base.Device] = []
    for device in devices:
        command = device.command()
        if not device.is_accelerator:
            return Choice(device, _why_none(devices[:-1], absent, converts))
        if command and (device.can_convert() or not converts):
            here = [device.converter] if converts and device.converter else ['the converted models']
            others = [f'no {other.file_name()}' for other in absent]
            return Choice(device, ', '.join([f'{here[0]} and {runner.line_of(command)} are here', *others]))
        if not command:
            absent.append(device)
    raise AssertionError('this machine is always here')


def _why_none(devices: list[base.Device], absent: list[base.Device], converts: bool) -> str:
    """Say why no accelerator is used."""
    if not converts:
        return ', and '.join(device.missing() for device in absent)
    converters = {device.converter: device.can_convert() for device in devices if device.converter}
    here = [name for name, is_here in converters.items() if is_here]
    if here:
        return f'{here[0]} is here, but {", and ".join(device.missing() for device in absent)}'
    tools = [device for device in devices if device not in absent]
    if tools:
        tool = tools[0]
        return f'{tool.file_name()} is here, but no {tool.converter} on PATH: {tool.converter_hint}'
    return f'neither {" nor ".join([*converters, *(device.file_name() for device in absent)])} here'
