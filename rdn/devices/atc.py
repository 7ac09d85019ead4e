"""Step 3.2: the vendor's atc converts the ONNX file to an offline model for a chip and a batch size."""

from __future__ import annotations

import glob
import os
import re
import shutil
from typing import Sequence

from rdn import configuration, files, run_record, toolkit
from rdn.devices import chip, places, record, runner

REASON = re.compile(r'\bE[A-Z0-9][0-9]{4}: *(.{1,300})')  # an error in atc's log: E10001: Value [...] is invalid
MAX_LOG_CHARACTERS = 1 << 22


def command(
    config: configuration.Configuration, batch_size: int, soc_version: str, flags: Sequence[str] = ()
) -> list[str]:
    """Return the guide's command for atc, as words.

    Args:
        config: names the files.
        batch_size: of the model.
        soc_version: atc's name of the chip.
        flags: further flags, those of a mode.
    """
    model, shape = config.model(batch_size), config.shape(batch_size)
    files_and_format = [f'--model={config.onnx}', f'--output={model}', '--input_format=NCHW', f'--input_shape={shape}']
    return ['atc', '--framework=5', *files_and_format, '--log=error', f'--soc_version={soc_version}', *flags]


def convert(
    config: configuration.Configuration,
    batch_size: int,
    soc_version: str,
    programs: runner.Runner = runner.LOCAL,
    flags: Sequence[str] = (),
) -> str:
    """Convert the exported model by atc, and return the offline model's path.

    The log goes to the batch size's folder of results. The model's record contains the ONNX file's digest, and the
    weights if the ONNX file's record names them.

    Args:
        config: names the files.
        batch_size: of the model.
        soc_version: atc's name of the chip.
        programs: runs atc.
        flags: further flags for atc, those of a mode.

    Raises:
        ValueError: atc fails or writes no model; the message has atc's own reason if its log contains one.
    """
    name, folder = config.model(batch_size), config.result_folder(batch_size)
    log = os.path.join(folder, 'atc.log')
    os.makedirs(folder, exist_ok=True)
    with files.scratch_folder(os.path.join(places.work_place(folder), 'atc')) as work:
        shutil.copyfile(config.onnx, os.path.join(work, config.onnx))  # atc refuses some characters in paths, too
        source = record.Source('atc', toolkit.find_version(), chip.Chip(chip.name_of(soc_version)))
        of_onnx = record.make(source, batch_size, config.onnx, None)
        exported = run_record.read(config.onnx)
        if exported:
            of_onnx = of_onnx._replace(weights=exported.weights, weights_digest=exported.weights_digest)
        call = command(config, batch_size, soc_version, flags)
        try:
            programs.run(runner.Call(call, log, work, is_of_toolkit=True))
        except ValueError as error:
            reason = read_reason(log)
            raise ValueError(f'{error}: {reason}' if reason else str(error))
        written = glob.glob(os.path.join(glob.escape(work), f'{name}*.om'))  # some versions add _linux_x86_64
        if len(written) != 1:
            raise ValueError(f'atc wrote no {name}.om; its output is in {log}')
        files.copy(written[0], f'{name}.om')
        run_record.write(f'{name}.om', of_onnx)
    return f'{name}.om'


def read_reason(log: str) -> str | None:
    """Return the first error in a log of atc, with its code; None if the log contains no error or is missing."""
    if not os.path.isfile(log):
        return None
    with open(log, encoding='utf-8', errors='replace') as file:
        found = REASON.search(file.read(MAX_LOG_CHARACTERS))
    return ' '.join(found.group().split()) if found else None
