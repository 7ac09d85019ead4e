"""pyACL, the Python module `acl` of every CANN toolkit. With it, RDN_infer.py runs offline models without ais_bench."""

from __future__ import annotations

import importlib.machinery
import os
import sys

import rdn
from rdn import escaping, run_record, toolkit
from rdn.devices import ascend, base, rdn_infer, runner

# Asks whether pyACL loads, and for the device's chip. It runs in its own process, because pyACL loads the runtime too.
QUESTION = f"""
import sys
sys.path.insert(0, {rdn.ROOT!r})
from rdn.engines import pyacl
try:
    print('chip', pyacl.chip_of(pyacl.load_module(), int(sys.argv[1])) or '')
except ValueError as error:
    sys.exit(str(error))
"""
CHIP_LINE = 'chip '


class Acl(rdn_infer.RdnInfer, ascend.Ascend):
    """An Ascend device, used through pyACL by RDN_infer.py in its own process."""

    name = 'acl'
    title = 'RDN_infer.py with pyACL'
    assumed_chip = run_record.UNKNOWN_CHIP

    def __init__(self, programs: runner.Runner = runner.LOCAL, device_id: int = 0):
        super().__init__(programs, device_id)
        self._answer: runner.Answer | None = None

    def find(self) -> list[str] | None:
        """Return RDN_infer.py's command; None if the module acl is missing or does not load, or there is no device."""
        return rdn_infer.COMMAND if self._has_module() and self._ask().status == 0 else None

    def file_name(self) -> str:
        """Return the name pyACL."""
        return 'pyACL'

    def missing(self) -> str:
        """Say that pyACL is missing or why it does not run, and what to do."""
        if self._has_module():
            return f'pyACL does not run: {escaping.one_line(self._ask().text)}'
        return 'no pyACL (the module acl of the CANN toolkit: source env.sh)'

    def identify(self, soc_version: str | None) -> base.Target:
        """Find the chip as every Ascend device does; ask pyACL if npu-smi is missing, fails or names only a family."""
        try:
            return super().identify(soc_version)
        except ValueError:
            named = None if soc_version else self._chip_name()
            if not named:
                raise
        return super().identify(named)

    def infer_and_record(self, job: base.Job) -> base.Run:
        """Run `infer`, and add the chip and its card, which the walk knows, to RDN_infer.py's records."""
        run = self.infer(job)
        for target in filter(None, run):
            written = run_record.read(target)
            if written:
                chip = job.chip.name if written.chip == run_record.UNKNOWN_CHIP else written.chip
                run_record.write(target, written._replace(chip=chip, card_devices=job.chip.card_devices))
        return run

    def _chip_name(self) -> str | None:
        """Return the chip's name from pyACL, for example Ascend310P3; None if pyACL does not name it."""
        lines = [line for line in self._ask().text.splitlines() if line.startswith(CHIP_LINE)]
        return lines[-1][len(CHIP_LINE) :].strip() or None if lines else None

    def _has_module(self) -> bool:
        """Return whether a module `acl` is in one of pyACL's folders; it may still fail to load."""
        named = [folder for folder in os.environ.get('PYTHONPATH', '').split(os.pathsep) if folder]
        spec = importlib.machinery.PathFinder.find_spec('acl', [*named, *toolkit.python_folders()])
        return spec is not None and spec.has_location

    def _ask(self) -> runner.Answer:
        """Ask QUESTION once, and return the answer."""
        if self._answer is None:
            self._answer = self.programs.ask([sys.executable, '-c', QUESTION, str(self.device_id)])
        return self._answer
