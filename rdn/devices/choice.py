"""The devices there are, and the one for step 5 on this machine."""

from __future__ import annotations

from typing import NamedTuple

from rdn.devices import ais_bench, base, benchmark, host, runner

DEVICES: tuple[type[base.Device], ...] = (benchmark.Benchmark, ais_bench.AisBench, host.Host)  # in order of preference
NAMES = tuple(kind.name for kind in DEVICES)


class Choice(NamedTuple):
    """A device, and why it was chosen."""

    device: base.Device
    reason: str


def choose(wanted: str | None, converts: bool = True, programs: runner.Runner = runner.LOCAL) -> Choice:
    """Choose the device that is wanted, else the first of DEVICES whose tools are here.

    Args:
        wanted: one of NAMES, or None.
        converts: whether atc is needed; without it, models are there already.
        programs: finds and runs the tools.

    Raises:
        ValueError: the tools of the wanted device are not here; with what to do.
    """
    devices = [kind(programs) for kind in DEVICES]
    atc = 'atc' if programs.find('atc') else None if converts else 'the converted models'
    if wanted:
        device = devices[NAMES.index(wanted)]
        if device.needs_chip and not atc:
            raise ValueError(f"--with={wanted} needs atc, which is not on PATH: source the toolkit's set_env.sh")
        if not device.command():
            raise ValueError(f'--with={wanted}: {device.missing()}')
        return Choice(device, 'as asked')
    absent: list[base.Device] = []
    for device in devices:
        command = device.command()
        if not device.needs_chip:
            return Choice(device, _why_none(devices[:-1], absent, atc))
        if atc and command:
            others = [f'no {other.file_name()}' for other in absent]
            return Choice(device, ', '.join([f'{atc} and {runner.line_of(command)} are here', *others]))
        if not command:
            absent.append(device)
    raise AssertionError('this machine is always here')


def _why_none(devices: list[base.Device], absent: list[base.Device], atc: str | None) -> str:
    """Why none of the accelerators' tools is taken."""
    here = [device.file_name() for device in devices if device not in absent]
    if atc:
        return f'atc is here, but {", and ".join(device.missing() for device in absent)}'
    if here:
        return f"{here[0]} is here, but no atc on PATH: source the toolkit's set_env.sh"
    return f'neither atc nor {" nor ".join(device.file_name() for device in absent)} here'
