"""This machine's processor, by RDN_infer.py, which does benchmark's job."""

from __future__ import annotations

from rdn import run_record
from rdn.devices import base, chip, rdn_infer

CHIP = chip.Chip(run_record.HOST)


class Host(rdn_infer.RdnInfer):
    """This machine's processor, which runs the exported model."""

    name = 'host'
    assumed_chip = run_record.HOST
    is_accelerator = False

    def find(self) -> list[str] | None:
        """How RDN_infer.py is called."""
        return rdn_infer.COMMAND

    def missing(self) -> str:
        """It is always here."""
        return ''

    def identify(self, soc_version: str | None) -> base.Target:
        """This machine, for which nothing is converted."""
        return base.Target(CHIP, None)
