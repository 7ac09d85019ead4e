"""Step 3.2 by the vendor's atc: the ONNX file becomes an offline model for a chip and a batch size."""

from __future__ import annotations

import glob
import os
import shutil

from rdn import configuration, files, run_record, toolkit
from rdn.devices import chip, places, record, runner


def convert(
    config: configuration.Configuration, batch_size: int, soc_version: str, programs: runner.Runner = runner.LOCAL
) -> str:
    """Convert the exported model by atc, and return the offline model's path.

    The log goes to the batch size's folder of results; the model's record names the ONNX file by its digest,
    and the weights where that file's record names them.

    Raises:
        ValueError: atc fails or writes nothing.
    """
    name, folder = config.model(batch_size), config.result_folder(batch_size)
    log = os.path.join(folder, 'atc.log')
    os.makedirs(folder, exist_ok=True)
    with files.scratch_folder(os.path.join(places.work_place(folder), 'atc')) as work:
        shutil.copyfile(config.onnx, os.path.join(work, config.onnx))  # atc looks at the characters of paths, too
        source = record.Source('atc', toolkit.find_version(), chip.Chip(chip.name_of(soc_version)))
        of_onnx = record.make(source, batch_size, config.onnx, None)
        exported = run_record.read(config.onnx)
        if exported:
            of_onnx = of_onnx._replace(weights=exported.weights, weights_digest=exported.weights_digest)
        command = ['atc', '--framework=5', f'--model={config.onnx}', f'--output={name}', '--input_format=NCHW']
        shape = f'--input_shape={config.shape(batch_size)}'
        command += [shape, '--log=error', f'--soc_version={soc_version}']
        programs.run(runner.Call(command, log, work, is_of_toolkit=True))
        written = glob.glob(os.path.join(glob.escape(work), f'{name}*.om'))  # some versions add _linux_x86_64
        if len(written) != 1:
            raise ValueError(f'atc wrote no {name}.om; its output is in {log}')
        files.copy(written[0], f'{name}.om')
        run_record.write(f'{name}.om', of_onnx)
    return f'{name}.om'
