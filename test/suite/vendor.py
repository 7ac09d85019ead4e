"""The vendor's files for the tests: logs of its tools, and a source file and folders of its toolkit."""

import io
import json
import tokenize

CANN5 = 'opp/op_impl/built-in/ai_core/tbe/impl/dynamic/transpose.py'


CANN6 = 'opp/built-in/op_impl/ai_core/tbe/impl/dynamic/transpose.py'


DEFAULT = [1, 64, 2, 2, 114, 114]


# Like the vendor's file: several lists with similar names, comments, trailing commas inside.
VENDOR = '''# -*- coding: utf-8 -*-
"""transpose: white_list_shape = [[0]]"""
from ..util import util_common


def _fuzzy_match(shape_t):
    white_list_shape_fuzzy =  [
                               [-1, 12, 197, 64], [-1, 197, 12, 64],
                               [-1, 3, 300, 18, 2]
                              ]
    white_list_shape = [[5, 5]]
    return shape_t in white_list_shape_fuzzy


def _by_dynamic_static_union_version(shape, core_num):
    """
    temporary function: white_list_shape = [[1]]
    """
    if core_num == 1:
        white_list_shape_lhisi = [[1, 24, 3, 20], [8, 128, 3, 21]]
        return list(shape) in white_list_shape_lhisi
    black_list_shape = [[6, 6]]

    def nested():
        white_list_shape = [[7, 7]]
        return white_list_shape

    white_list_shape = %s
    shape_t = list(shape)
    if shape_t in white_list_shape: # é, tab:\tend
        return True
    return _fuzzy_match(shape_t) or nested() == black_list_shape \\
        or "white_list_shape = [[8]]" == shape
'''


LISTS = {
    'vendor': '[\n'
    + ' ' * 25
    + '[2, 512, 1024], [1024, 91], [2, 512, 1024],\n'
    + ' ' * 25
    + '[160, 160, 3, 3,], [320, 160, 3, 3]\n'
    + ' ' * 23
    + ']',
    'trailing comma': '[\n        [2, 512],\n        [1024, 91],\n    ]',
    'comments': '[  # first [1\n        [2, 512],  # a, b]\n        # [9, 9],\n        [3, 4]  # last ]\n        # after\n    ]',
    'one line': '[[2, 512], [1024, 91]]',
    'one line, comma': '[[2, 512], [1024, 91], ]',
    'closing bracket behind': '[[2, 512],\n        [1024, 91]]',
    'closing bracket behind a comma': '[[2, 512],\n        [1024, 91],]  # why',
    'shape over lines': '[\n        [2,\n         512], [1024,\n                91]\n    ]',
    'empty': '[]',
    'empty, two lines': '[\n    ]',
    'tabs': '[\n\t\t[2, 512],\n\t\t[1024, 91]\n\t]',
    'continued': '[ \\\n        [2, 512], \\\n        [1024, 91] \\\n        ]',
}


def vendor_source(kind='vendor', newline='\n', encoding='utf-8', end=True):
    text = VENDOR % LISTS[kind]
    text = text if end else text.rstrip('\n')
    return text.replace('utf-8', encoding.replace('-sig', '')).replace('\n', newline).encode(encoding)


def white_list(source):
    """Return the white list by running the function's source, without code of this project."""
    namespace = {}
    text = source.decode(tokenize.detect_encoding(io.BytesIO(source).readline)[0])
    start = text.index('def _by_dynamic')
    lines = (
        text[start:]
        .replace('\r\n', '\n')
        .replace('\r', '\n')
        .replace('shape_t = list(shape)', 'return white_list_shape', 1)
    )
    exec(lines, namespace)  # noqa: S102 our own text
    return namespace['_by_dynamic_static_union_version']((1,), 2)


def version(tmp_path, name, *parts):
    """Make a version of a toolkit in the default folder in a user's home; return its folder."""
    folder = tmp_path / 'home' / 'Ascend' / 'ascend-toolkit' / name
    for part in parts:
        (folder / part).mkdir(parents=True)
    return folder


def list_chips(folder, *names):
    """Write a toolkit's list of chips, one file for each; return the toolkit's folder."""
    place = folder / 'x86_64-linux' / 'data' / 'platform_config'
    place.mkdir(parents=True)
    for name in names:
        (place / f'Ascend{name}.ini').write_text(f'[version]\nSoC_version=Ascend{name}\n')
    return folder


GUIDE_PERF = """[e2e] throughputRate: 1.32351, latency: 3777.82
[data read] throughputRate: 263.518, moduleLatency: 3.7948
[preprocess] throughputRate: 3.93749, moduleLatency: 253.969
[infer] throughputRate: 6.8117, Interface throughputRate: 7.39423, moduleLatency: 139.064
[post] throughputRate: 3.24091, moduleLatency: 308.555
"""


OTHER_PERF = """[e2e] throughputRate: 60.5samples/s, latency: 82644ms
[data read] throughputRate: 64.8samples/s, moduleLatency: 15.4ms
[preprocess] throughputRate: 64.5samples/s, moduleLatency: 15.5ms
[inference] throughputRate: 64.3samples/s, Interface throughputRate: 7.39423samples/s, moduleLatency: 13.2ms
[postprocess] throughputRate: 64.2samples/s, moduleLatency: 15.6ms
"""


TENSORRT_7 = """&&&& RUNNING TensorRT.trtexec # trtexec --onnx=rdn_x2.onnx --fp16 --shapes=image:1x3x114x114
[09/04/2021-07:06:46] [I] Host Latency
[09/04/2021-07:06:46] [I] min: 38.7 ms (end to end 38.8 ms)
[09/04/2021-07:06:46] [I] max: 45.1 ms (end to end 45.2 ms)
[09/04/2021-07:06:46] [I] mean: 39.6 ms (end to end 39.7 ms)
[09/04/2021-07:06:46] [I] GPU Compute
[09/04/2021-07:06:46] [I] min: 38.6577 ms
[09/04/2021-07:06:46] [I] max: 44.8702 ms
[09/04/2021-07:06:46] [I] mean: 39.3814 ms
[09/04/2021-07:06:46] [I] median: 39.0232 ms
[09/04/2021-07:06:46] [I] percentile: 44.8702 ms at 99%
[09/04/2021-07:06:46] [I] total compute time: 3.07175 s
"""


TENSORRT_8 = """[I] === Explanations of the performance metrics ===
[I] GPU Compute Time: the GPU latency to execute the kernels for a query.
[I] Latency: min = 4.4 ms, max = 5.5 ms, mean = 4.5 ms, median = 4.4 ms, percentile(99%) = 5.4 ms
[I] Enqueue Time: min = 0.4 ms, max = 0.5 ms, mean = 0.45 ms, median = 0.4 ms, percentile(99%) = 0.5 ms
[I] H2D Latency: min = 0.1 ms, max = 0.2 ms, mean = 0.15 ms, median = 0.1 ms, percentile(99%) = 0.2 ms
[I] GPU Compute Time: min = 4.23773 ms, max = 5.25439 ms, mean = 4.26986 ms, median = 4.25195 ms, percentile(99%) = 5.2 ms
[I] D2H Latency: min = 0.1 ms, max = 0.2 ms, mean = 0.15 ms, median = 0.1 ms, percentile(99%) = 0.2 ms
[I] Total GPU Compute Time: 3.1 s
"""


AIS_BENCH = """[INFO] -----------------Performance Summary------------------
[INFO] H2D_latency (ms): min = 0.05, max = 0.12, mean = 0.06, median = 0.06, percentile(99%) = 0.11
[INFO] NPU_compute_time (ms): min = 18.80500030517578, max = 33.78099822998047, mean = 19.04405264540241, median = 18.972999572753906, percentile(99%) = 19.706099739074705
[INFO] D2H_latency (ms): min = 0.04, max = 0.14, mean = 0.07, median = 0.07, percentile(99%) = 0.13
[INFO] throughput 1000*batchsize(1)/NPU_compute_time.mean(19.04405264540241): 52.50983173696586
[INFO] ------------------------------------------------------
"""


AIS_BENCH_NEW = '[INFO] throughput 1000*batchsize.mean(8)/NPU_compute_time.mean(109.48): 73.07\n'


AIS_INFER_OLD = '[INFO] throughput (1000*batchsize/NPU_compute_time): 171.57\n'


PURE = '[INFO] ave_throughputRate: 1.67129samples/s, ave_latency: 599.028ms\n'
# Two devices with the same figure; only the last line is about both.
AIS_TWO_DEVICES = """[INFO] NPU_compute_time (ms): min = 18.8, max = 33.7, mean = 19.044, median = 18.9, percentile(99%) = 19.7
[INFO] throughput 1000*batchsize.mean(1)/NPU_compute_time.mean(19.044): 52.51
[INFO] NPU_compute_time (ms): min = 18.8, max = 33.7, mean = 19.044, median = 18.9, percentile(99%) = 19.7
[INFO] throughput 1000*batchsize.mean(1)/NPU_compute_time.mean(19.044): 52.51
[INFO] i:0 device_0 throughput:52.51 start_time:1.0 end_time:2.0
[INFO] i:1 device_1 throughput:52.51 start_time:1.0 end_time:2.0
[INFO] summary throughput:105.02
"""
AIS_INFER_16 = """[INFO] NPU_compute_time (ms): min = 13.7, max = 14.1, mean = 13.79518, median = 13.7, percentile(99%) = 14.0
[INFO] throughput (1000*batchsize/NPU_compute_time): 1159.825
"""
AIS_SUMMARY = (
    '{"filesinfo": {}, "args": {"batchsize": 4, "loop": 1}, "NPU_compute_time": {"min": 54.0, "max": 56.0, '
    '"mean": 54.742, "median": 54.7, "percentile(99%)": 55.9, "count": 20}, "throughput": 73.07}'
)
TENSORRT_8_BOUND = """[I] &&&& RUNNING TensorRT.trtexec [TensorRT v8502] # trtexec --loadEngine=RDN.engine
[I] Created input binding for image with dimensions 10x3x114x114
[I] Output binding for output with dimensions 4x3x228x228 is created.
[I] GPU Compute Time: min = 23.1 ms, max = 25.2 ms, mean = 23.8437 ms, median = 23.8 ms, percentile(99%) = 25.2 ms
"""
TENSORRT_8_STREAMS = """&&&& RUNNING TensorRT.trtexec # trtexec --onnx=a.onnx --shapes=image:1x3x114x114 --streams=32
[I] Throughput: 17990.4 qps
[I] GPU Compute Time: min = 0.4 ms, max = 0.5 ms, mean = 0.41477 ms, median = 0.4 ms, percentile(99%) = 0.5 ms
"""
# Output of three generations of ais_bench; their progress bars end in carriage returns.
AIS_2024 = """[INFO] acl init success
[INFO] get filesperbatch files0 size:155952 tensor0size:623808 filesperbatch:4 runcount:2
[INFO] warm up 1 done
Inference array Processing:   0%|          | 0/2 [00:00<?, ?it/s]\rInference array Processing: 100%|##| 2/2 [00:01<00:00,  1.33it/s]
[INFO] -----------------Performance Summary------------------
[INFO] NPU_compute_time (ms): min = 712.25, max = 789.94, mean = 751.0979309082031, median = 751.09, percentile(99%) = 789.16
[INFO] throughput 1000*batchsize.mean(4)/NPU_compute_time.mean(751.0979309082031): 5.3255372374190015
[INFO] ------------------------------------------------------
"""
AIS_2026 = """Inference array Processing:   0%|          | 0/1 [00:00<?, ?it/s]\r\x1b[2Kloop inference exec: (1/25)\r\x1b[2Kloop inference exec: (2/25)
[INFO] -----------------Performance Summary------------------
| Metric                |      min |      max |     mean |   median |      P99 |
| NPU_compute_time (ms) | 701.5566 | 789.0084 | 708.6368 | 704.1855 | 771.0373 |
[INFO] Throughput 1000*batchsize.mean(4)/NPU_compute_time.mean(708.6367626953125): 5.64464082386289
"""
AIS_2023_TWO = """[INFO] NPU_compute_time (ms): min = 201.2, max = 212.1, mean = 209.3289, median = 209.0, percentile(99%) = 212.0
[INFO] throughput 1000*batchsize.mean(1)/NPU_compute_time.mean(209.3289): 4.77717332228612
[INFO] NPU_compute_time (ms): min = 190.2, max = 212.1, mean = 199.2044, median = 199.0, percentile(99%) = 212.0
[INFO] throughput 1000*batchsize.mean(1)/NPU_compute_time.mean(199.2044): 5.019969576239072
[INFO] multidevice run end qsize:4 result:0
i:0 device_0 throughput:4.77717332228612 start_time:1795667220.036601 end_time:1795667221.0953352
i:1 device_1 throughput:5.019969576239072 start_time:1795667220.8764174 end_time:1795667221.8875465
[INFO] summary throughput:9.797142898525191
"""
# The vendor's own example of a run on two devices, both complete.
AIS_MSIT_TWO = """[INFO] -----------------Performance Summary------------------
[INFO] NPU_compute_time (ms): min = 2.4769999980926514, max = 3.937000036239624, mean = 3.5538000106811523, median = 3.7230000495910645, percentile(99%) = 3.936680030822754
[INFO] throughput 1000*batchsize.mean(1)/NPU_compute_time.mean(3.5538000106811523): 281.38893494131406
[INFO] ------------------------------------------------------
[INFO] -----------------Performance Summary------------------
[INFO] NPU_compute_time (ms): min = 3.3889999389648438, max = 3.9230000972747803, mean = 3.616000032424927, median = 3.555000066757202, percentile(99%) = 3.9134000968933105
[INFO] throughput 1000*batchsize.mean(1)/NPU_compute_time.mean(3.616000032424927): 276.54867008654026
[INFO] ------------------------------------------------------
[INFO] unload model success, model Id is 1
[INFO] unload model success, model Id is 1
[INFO] end to destroy context
[INFO] end to destroy context
[INFO] end to reset device is 2
[INFO] end to reset device is 2
[INFO] end to finalize acl
[INFO] end to finalize acl
[INFO] multidevice run end qsize:4 result:1
i:0 device_1 throughput:281.38893494131406 start_time:1676875630.804429 end_time:1676875630.8303885
i:1 device_2 throughput:276.54867008654026 start_time:1676875630.8043878 end_time:1676875630.8326817
[INFO] summary throughput:557.9376050278543
"""
# A rate that is not 1000 * 16 / mean.
AIS_CONTRADICTION = """[INFO] -----------------Performance Summary------------------
[INFO] throughput 1000*batchsize(16)/NPU_compute_time.mean(10.348920078277589): 112.53087529912726
[INFO] ------------------------------------------------------
"""
# Logs of trtexec with device, precision and streams: TensorRT 8 with an implicit batch size, TensorRT 10 and 11.
TENSORRT_IMPLICIT = """&&&& RUNNING TensorRT.trtexec [TensorRT v8001] # trtexec --loadEngine=network.engine --batch=64 --streams=4
[03/02/2022-10:11:12] [I] === Inference Options ===
[03/02/2022-10:11:12] [I] Batch: 64
[03/02/2022-10:11:12] [I] Streams: 4
[03/02/2022-10:11:30] [I] === Performance summary ===
[03/02/2022-10:11:30] [I] Throughput: 2310.55 qps
[03/02/2022-10:11:30] [I] GPU Compute Time: min = 61.02 ms, max = 140.77 ms, mean = 110.802 ms, median = 110.1 ms, percentile(99%) = 131.5 ms
[03/02/2022-10:11:30] [I] Total GPU Compute Time: 9.97218 s
&&&& PASSED TensorRT.trtexec [TensorRT v8001] # trtexec --loadEngine=network.engine --batch=64 --streams=4
"""
TENSORRT_10_H100 = """&&&& RUNNING TensorRT.trtexec [TensorRT v101601] [b11] # trtexec --onnx=model.onnx
[07/07/2026-02:10:45] [I] Precision: FP32
[07/07/2026-02:10:45] [I] Inference Streams: 1
[07/07/2026-02:10:45] [I] Selected Device: NVIDIA H100 PCIe
[07/07/2026-02:10:58] [I] Throughput: 15374.3 qps
[07/07/2026-02:10:58] [I] GPU Compute Time: min = 0.0331421 ms, max = 0.140381 ms, mean = 0.0359588 ms, median = 0.0361328 ms, percentile(90%) = 0.0368652 ms, percentile(95%) = 0.0371094 ms, percentile(99%) = 0.041748 ms
&&&& PASSED TensorRT.trtexec [TensorRT v101601] [b11] # trtexec --onnx=model.onnx
"""
TENSORRT_10_STREAMS = """&&&& RUNNING TensorRT.trtexec [TensorRT v101602] [b0] # trtexec --loadEngine=detector.engine --shapes=inputs:1x3x640x640 --duration=10 --infStreams=4
[09/10/2026-10:00:00] [I] === Inference Options ===
[09/10/2026-10:00:00] [I] Batch: Explicit
[09/10/2026-10:00:00] [I] Input inference shape : inputs=1x3x640x640
[09/10/2026-10:00:00] [I] Inference Streams: 4
[09/10/2026-10:00:11] [I] === Performance summary ===
[09/10/2026-10:00:11] [I] Throughput: 244.145 qps
[09/10/2026-10:00:11] [I] GPU Compute Time: min = 4.1 ms, max = 9.2 ms, mean = 5.008226 ms, median = 5.0 ms, percentile(90%) = 5.3 ms, percentile(95%) = 5.4 ms, percentile(99%) = 5.9 ms
[09/10/2026-10:00:11] [W] * Multiple inference streams are used. Latencies may not be accurate since inferences may run in
[09/10/2026-10:00:11] [W]   parallel. Please use "Throughput" as the performance metric instead.
&&&& PASSED TensorRT.trtexec [TensorRT v101602] [b0] # trtexec --loadEngine=detector.engine --shapes=inputs:1x3x640x640 --duration=10 --infStreams=4
"""
TENSORRT_11_FAILED = """&&&& RUNNING TensorRT.trtexec [TensorRT v110401] [b12] # trtexec --fp16 --onnx=x
[11/20/2026-10:00:00] [E] Unknown option: --fp16
=== Model Options ===
  --onnx=<file>               ONNX model
&&&& FAILED TensorRT.trtexec [TensorRT v110401] [b12] # trtexec --fp16 --onnx=x
"""


def summary(batch_size, mean, args):
    """Return the text of ais_bench's summary for runs of `mean` milliseconds; `args` depends on its version."""
    times = {'min': mean, 'max': mean, 'mean': mean, 'median': mean, 'percentile(99%)': mean, 'count': 20}
    return json.dumps(
        {'filesinfo': {}, 'args': args, 'NPU_compute_time': times, 'throughput': 1000 * batch_size / mean}
    )
