"""The files of the guide's steps, and the step that writes each of them, for messages about missing files."""

from __future__ import annotations

import re

WEIGHTS_LINK = 'https://www.dropbox.com/s/pd52pkmaik1ri0h/rdn_x2.pth?dl=0'
INFERENCE = 'step 5 (benchmark, ais_bench or RDN_infer.py) writes it'

# Pattern of the end of a path -> the step that writes such a file. The first match counts.
MADE_BY = (
    (r'rdn_x\d\.pth', f'download it from {WEIGHTS_LINK}, or run cp weights/rdn_x2.pth .'),
    (r'[^/]*\.onnx', 'RDN_pth2onnx.py writes it'),
    (r'[^/]*\.om', 'step 3.2 (atc, or bash test/pth2om.sh) writes it; without a device, use the .onnx file'),
    (r'prep[^/]*/(data|label)(/[^/]*)?/?|manifest\.json', 'RDN_preprocess.py writes it'),
    (r'[^/]*\.info', 'gen_dataset_info.py writes it'),
    (
        r'result/ais_bench(/[^/]*)?/?|dumpOutput_device\d+|(perf_vision|PureInfer_perf)[^/]*\.txt|[^/]*_?summary\.json',
        INFERENCE,
    ),
    (r'result[^/]*\.json', 'RDN_postprocess.py writes it'),
    (r'RDN_bs\d+\.log', 'bash test/perf_gpu.sh writes it'),
    (r'profile/?', 'msprof or RDN_infer.py -profiling writes it (docs/guide.md, 3.3)'),
    (r'set5', 'README.md, step 4, says where to get it; python3 sample_images.py writes other photographs'),
)


def who_makes(path: str) -> str | None:
    """Return the step that writes a file of the walk, or where to download it; None for any other file."""
    for pattern, maker in MADE_BY:
        if re.search(f'(^|/){pattern}$', path):
            return maker
    return None
