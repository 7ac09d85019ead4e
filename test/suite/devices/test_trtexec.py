"""trtexec's logs from TensorRT 7 to 11: device, precision, streams and batch sizes, as the log itself states them."""

import time

from rdn.devices import logs, speed

import pytest

from vendor import TENSORRT_7, TENSORRT_8_BOUND, TENSORRT_10_H100, TENSORRT_11_FAILED, TENSORRT_IMPLICIT

HEAD = '&&&& RUNNING TensorRT.trtexec [TensorRT v{}] # trtexec {}\n'
LINE = '[07/07/2026-02:10:45] [I] '
FIGURES = (
    f'{LINE}=== Performance summary ===\n'
    f'{LINE}Throughput: 150 qps\n'
    f'{LINE}Latency: min = 9 ms, max = 11 ms, mean = 10.5 ms, median = 10 ms, percentile(99%) = 11 ms\n'
    f'{LINE}GPU Compute Time: min = 9 ms, max = 11 ms, mean = 10 ms, median = 10 ms, percentile(99%) = 11 ms\n'
)


def read(*lines, version='8601', flags='--loadEngine=a.engine', name='a.log', figures=FIGURES):
    """Return the Speed of a log with these lines, which all have trtexec's level I."""
    head = HEAD.format(version, flags)
    return logs.parse_speed(head + ''.join(f'{LINE}{line}\n' for line in lines) + figures, name)


@pytest.mark.parametrize(
    'device', ['Tesla T4', 'NVIDIA A100-SXM4-40GB MIG 1g.5gb', 'Orin', 'NVIDIA GeForce RTX 4060 Laptop GPU']
)
def test_the_device_is_the_one_that_was_selected(device):
    lines = ['Available Devices:', '  Device 0: "NVIDIA L4" UUID: GPU-1', f'Selected Device: {device} ']
    assert read(*lines, 'Selected Device ID: 0', 'Selected Device UUID: GPU-84a8068b').device == device


def test_a_log_without_a_device_names_none():
    assert read().device is None


@pytest.mark.parametrize(
    'lines, described',
    [
        (['Compute Capability: 9.0'], 'GPU of compute capability 9.0'),
        (['Selected Device: ', 'Compute Capability: 8.6 '], 'GPU of compute capability 8.6'),
        (['DLACore: 1', 'Compute Capability: 8.7'], 'GPU of compute capability 8.7, DLA core 1'),
        (['Compute Capability: 7.5'], None),
        (['Selected Device: NVIDIA H100 PCIe', 'Compute Capability: 9.0'], None),
        ([], None),
    ],
)
def test_a_device_without_a_name_is_described_by_its_compute_capability(lines, described):
    assert read(*lines).unnamed_device == described


def test_two_compute_capabilities_are_two_runs():
    with pytest.raises(ValueError, match='compute capability 7.5 and 9.0; the log may contain several runs'):
        read('Compute Capability: 9.0', 'Compute Capability: 7.5')


def test_two_devices_are_two_runs():
    with pytest.raises(ValueError, match='NVIDIA H100 PCIe and Tesla T4'):
        read('Selected Device: Tesla T4', 'Selected Device: NVIDIA H100 PCIe')
    assert read('Selected Device: Tesla T4', 'Selected Device: Tesla T4').device == 'Tesla T4'


def test_work_of_a_dla_core_is_not_attributed_to_the_gpu():
    assert read('DLACore: 0', 'Selected Device: Orin').device == 'Orin, DLA core 0'
    assert read('DLACore: ', 'Selected Device: Orin').device == 'Orin'


def test_a_run_that_built_the_engine_does_not_count():
    """A failed attempt or the run that builds the engine may come first, on another device and in another precision."""
    built = HEAD.format('101601', '--onnx=a.onnx --int8 --skipInference --infStreams=4')
    built += f'{LINE}Precision: FP32+INT8\n{LINE}Selected Device: Tesla T4\n{LINE}Skip inference: Enabled\n'
    found = logs.parse_speed(built + TENSORRT_10_H100, 'a.log')
    assert found == logs.parse_speed(TENSORRT_10_H100, 'a.log') and found.device == 'NVIDIA H100 PCIe'
    assert logs.parse_speed(TENSORRT_11_FAILED + TENSORRT_10_H100, 'a.log') == found


@pytest.mark.parametrize(
    'flags, lines, precision',
    [
        ('--onnx=a.onnx --best', ['Precision: FP32+FP16+INT8'], 'FP32+FP16+INT8'),
        ('--onnx=a.onnx', ['Precision: FP32'], 'FP32'),
        ('--onnx=a.onnx', ['Precision: Strongly Typed'], 'Strongly Typed'),
        # Without that line the flags determine it.
        ('--onnx=a.onnx --fp16', [], speed.GUIDES_PRECISION),
        ('--onnx=a.onnx --int8', [], 'FP32+INT8'),
        ('--onnx=a.onnx --best', [], 'FP32+BEST'),
        ('--onnx=a.onnx --layerPrecisions=*:fp16', [], 'FP32'),
        ('--onnx=a.onnx --stronglyTyped', [], 'Strongly Typed'),
        # A loaded engine has its own precision. The line only repeats the flags, and without flags it says fp32.
        ('--loadEngine=a.engine', [], None),
        ('--loadEngine=a.engine', ['Precision: FP32'], 'FP32 (of a loaded engine, which may differ)'),
        ('--loadEngine=a.engine --fp16', ['Precision: FP32+FP16'], 'FP32+FP16'),
    ],
)
def test_the_precision_is_read_from_the_log(flags, lines, precision):
    assert read(*lines, flags=flags).precision == precision


def test_since_tensorrt_11_the_model_determines_the_precision():
    assert read(version='110106', flags='--onnx=a.onnx').precision == 'Strongly Typed'
    assert read(version='101601', flags='--onnx=a.onnx').precision == 'FP32'


def test_two_precisions_are_two_runs():
    with pytest.raises(ValueError, match='several runs'):
        read('Precision: FP32', 'Precision: FP32+FP16')


@pytest.mark.parametrize(
    'flags, lines, rate',
    [
        ('', ['Streams: 1'], 100),
        ('', ['Inference Streams: 1'], 100),
        ('', ['Max Aux Streams: 4', 'MaxAuxStreams: 4'], 100),  # inside of one inference
        ('', ['Streams: 2'], 150),
        ('', ['Inference Streams: 2'], 150),
        (' --streams=2', [], 150),
        (' --infStreams=2', [], 150),
        ('', ['* Multiple inference streams are used. Latencies may not be accurate since inferences may run in'], 150),
    ],
)
def test_the_rate_of_several_streams_counts_all_streams(flags, lines, rate):
    found = read(
        *lines, 'Input binding for image with dimensions 1x3x114x114 is created.', flags='--loadEngine=a' + flags
    )
    assert (found.batch, found.rate) == (1, rate)


@pytest.mark.parametrize(
    'lines, batch, rate, whole_rate',
    [
        # Implicit batch size: a query is an image.
        (['Batch: 8'], 8, 800, 150),
        (['Batch: 8', 'Created input binding for image with dimensions 3x114x114'], 8, 800, 150),
        # Explicit batch size: a query is a batch.
        (['Batch: Explicit', 'Created input binding for image with dimensions 8x3x114x114'], 8, 800, 1200),
        (['Batch: Explicit', 'Input inference shape: image=8x3x114x114'], 8, 800, 1200),
        (['Batch: Explicit', 'Input inference shape : image=8x3x114x114'], 8, 800, 1200),
        # TensorRT 8 prints 1 for an engine with an explicit batch size.
        (['Batch: 1', 'Created input binding for image with dimensions 8x3x114x114'], 8, 800, 1200),
        (['Batch: 1', 'Created input binding for image with dimensions 3x114x114'], 1, 100, 150),
        # --batch=4 for an engine with batches of 8: trtexec counts 4 images per query.
        (['Batch: 4', 'Created input binding for image with dimensions 8x3x114x114'], 8, 800, 300),
        (['Dynamic dimensions required for input: x, but … Automatically overriding shape to: 1x3x9x9'], 1, 100, 150),
    ],
)
def test_implicit_and_explicit_batch_sizes(lines, batch, rate, whole_rate):
    found = read(*lines)
    assert (found.batch, found.rate) == (batch, rate)
    found = read(*lines, 'Streams: 4')
    assert (found.batch, found.rate) == (batch, whole_rate)


def test_a_batch_flag_without_the_line_is_an_implicit_batch_size():
    assert read(flags='--loadEngine=a --batch=8 --streams=4').rate == 150
    assert read(flags='--loadEngine=a --shapes=x:8x3x9x9 --streams=4').rate == 8 * 150
    assert logs.parse_speed(
        TENSORRT_IMPLICIT.replace('Streams: 4', 'Streams: 1').replace('--streams=4', ''), 'a.log'
    ).rate == (pytest.approx(64000 / 110.802))


def test_the_files_name_has_the_batch_size_if_the_log_lacks_it():
    assert read('Batch: 1', 'Streams: 4', name='a_bs8.log')[1:3] == (8, 1200)
    assert read('Batch: 1', name='a_bs8.log')[1:3] == (8, 800)
    with pytest.raises(ValueError, match='batches of 8, but its name says 4'):
        read('Batch: 8', name='a_bs4.log')


def test_tensorrt_7_names_the_whole_rate_in_small_letters():
    log = TENSORRT_7.replace('GPU Compute\n', 'throughput: 30.5 qps\nGPU Compute\n')
    assert logs.parse_speed(log.replace('--fp16', '--fp16 --streams=2'), 'a.log').rate == 30.5
    assert logs.parse_speed(log, 'a.log').rate == pytest.approx(1000 / 39.3814)


@pytest.mark.parametrize(
    'log, words',
    [
        (TENSORRT_11_FAILED, 'the run failed: Unknown option: --fp16'),
        (HEAD.format('8601', '--onnx=a --skipInference') + '&&&& PASSED TensorRT.trtexec\n', 'only built an engine'),
        (HEAD.format('8205', '--onnx=a --buildOnly') + f'{LINE}Skip inference: Enabled\n', 'only built an engine'),
        (
            HEAD.format('101601', '--loadEngine=a --dumpProfile') + '&&&& PASSED TensorRT.trtexec\n',
            '--separateProfileRun',
        ),
        (HEAD.format('101601', '--onnx=a.onnx --fp16'), 'it is truncated, or the run has not ended'),
        (
            HEAD.format('8601', '--help') + '  --skipInference   Exit after the engine has been built\n',
            'it is truncated',
        ),
        (f'{LINE}=== Inference Options ===\n{LINE}Batch: Explicit\n', 'it is truncated'),
        (TENSORRT_10_H100[: TENSORRT_10_H100.index('Throughput')], 'it is truncated'),
    ],
)
def test_a_log_without_figures_is_refused_with_the_reason(log, words):
    with pytest.raises(ValueError, match='^a log of trtexec without a summary: ') as error:
        logs.parse_speed(log, 'a.log')
    assert words in str(error.value)


def test_figures_of_a_run_that_failed_do_not_count():
    log = TENSORRT_10_H100.replace('&&&& PASSED', '[E] Cuda failure\n&&&& FAILED')
    with pytest.raises(ValueError, match='failed: Cuda failure'):
        logs.parse_speed(log, 'a.log')


def test_the_batch_size_of_a_loaded_engine_is_that_of_its_bound_inputs():
    assert logs.parse_speed(TENSORRT_8_BOUND, 'a.log').batch == 10


def test_a_long_line_is_read_quickly():
    """A regular expression that tried each end of a line took minutes for a megabyte."""
    long = ' ' * 1000000 + 'x'
    started = time.process_time()
    assert read(f'Selected Device: T4{long}', f'Precision: FP32{long}', 'trtexec ' * 100000).device.startswith('T4 ')
    assert time.process_time() - started < 5
