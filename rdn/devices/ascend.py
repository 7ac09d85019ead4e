"""Shared code of all Ascend devices: models from atc, the chip from npu-smi, the toolkit's version."""

from __future__ import annotations

from typing import Sequence

from rdn import cli, configuration, toolkit
from rdn.devices import atc, atc_modes, base, chip, runner


class Ascend(base.Device):
    """An Ascend accelerator.

    Attributes:
        assumed_soc_version: atc's name of the chip if this tool is here but npu-smi is missing; None if the user must
            name the chip.
    """

    converter = 'atc'
    converter_hint = "source the toolkit's set_env.sh"
    model_ending = '.om'
    assumed_soc_version: str | None = None

    def identify(self, soc_version: str | None) -> base.Target:
        """Ask npu-smi for the chip.

        If the user names a chip, the model is converted for that one. Records have npu-smi's name of the chip; or the
        user's, if npu-smi is missing, fails or names only a family of chips.

        Args:
            soc_version: atc's name of the chip, if the user gave it.

        Returns:
            The chip, and atc's name of it.

        Raises:
            ValueError: the chip cannot be found out, or the toolkit does not know it; says what to do.
        """
        npu_smi = self.programs.find('npu-smi')
        found = None
        if npu_smi:
            try:
                found = chip.find_chip(self.device_id, npu_smi, self.programs)
            except ValueError:
                if not soc_version:
                    raise
        if not found and self.command():
            soc_version = soc_version or self.assumed_soc_version
        atc_path = self.programs.find('atc')
        known = toolkit.known_chips(atc_path) if atc_path else ()
        soc_version = chip.choose_soc_version(found, soc_version, known)
        named = chip.name_of(soc_version, known)
        if found is None or chip.is_family(found.name, known):
            return base.Target(chip.Chip(named, found.card_devices if found else None), soc_version)
        if chip.name_of(found.name, known) != named:
            cli.say(f'npu-smi shows {found.name}; atc converts for {soc_version}, as asked')
        return base.Target(found, soc_version)

    def convert(
        self, config: configuration.Configuration, batch_size: int, soc_version: str, flags: Sequence[str] = ()
    ) -> str:
        """Convert the exported model by atc, and return the offline model's path."""
        return atc.convert(config, batch_size, soc_version, self.programs, flags)

    def modes(self) -> list[base.Mode]:
        """Return the precision modes that the installed atc lists in its help."""
        return atc_modes.read(self.programs.ask([self.programs.find('atc') or 'atc', '--help']).text)

    def mode_command(self, job: base.Job, soc_version: str | None, mode: base.Mode) -> str:
        """Return the line that calls atc with the mode's flags."""
        assert soc_version
        command = atc.command(job.config, job.batch_size, soc_version, mode.flags)
        return runner.format_call(command, outer=True, toolkit=True)

    def version(self) -> str | None:
        """Return the version of CANN."""
        return toolkit.find_version()
