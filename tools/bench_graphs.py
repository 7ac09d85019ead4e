"""For tools.bench: graphs of one network, with and without Concat, in several engines and precisions."""

from __future__ import annotations

import copy
import functools
import itertools
import os
import tempfile
from typing import Callable, Dict, NamedTuple

from rdn import cli, cpu, engines, images
from rdn.engines import openvino
from rdn.network import exporter
from rdn.quantization import calibration, qdq

import numpy as np
import onnx
import torch
from torch import nn
from torch.nn import functional

import sample_images
from tools import timing

CONCAT, FLAT, SPLIT, ON_HOST = (
    'concat',
    'one flat Concat per layer',
    'split',
    'split, depth-to-space on the host',
)
BASELINE = CONCAT, 'ONNX Runtime, fp32'
OPSET = 9
CALIBRATION_SIDE = 64  # of the photograph that sets the scales of the eight-bit values, pixels
# Layers that RDN_quantize.py usually keeps in float.
IN_FLOAT = {'sfe1', 'sfe2', 'gff.0', 'gff.1', 'upscale.0', 'output'}
Run = Callable[[np.ndarray], np.ndarray]
Ways = Dict[str, Run]  # engine and precision -> a function (1, 3, H, W) -> (1, 3, scale*H, scale*W)


class BenchGraph(NamedTuple):
    """A network to export.

    Attributes:
        network: an RDN in PyTorch, which `output_first` may have changed.
        dense: the form of the dense layers, see exporter.Variant.
        shuffled: the scale of the depth-to-space that the host applies to the graph's output; 1 for no such step.
    """

    network: nn.Module
    dense: str
    shuffled: int = 1


def bench(network: nn.Module, side: int, rounds: int) -> None:
    """Print the speed of each graph in each engine, and its largest difference to PyTorch.

    The difference is a fraction of the output's range.

    Args:
        network: an RDN.
        side: of the input, in pixels.
        rounds: how often each graph is timed.
    """
    image = photograph(side)
    with torch.no_grad():
        expected = network(torch.from_numpy(image)).numpy()
    with tempfile.TemporaryDirectory() as folder:
        ways = {
            (name, engine): way
            for name, graph in graphs_of(network).items()
            for engine, way in open_graph(name, graph, side, folder).items()
        }
        differences = {key: np.abs(way(image) - expected).max() / np.ptp(expected) for key, way in ways.items()}
        medians = timing.alternate({key: functools.partial(way, image) for key, way in ways.items()}, rounds)
    columns = list(dict.fromkeys(engine for _, engine in ways))
    rows = [('', *columns)]
    for name in dict.fromkeys(name for name, _ in ways):
        keys = [(name, engine) for engine in columns]
        rows.append((name, *(f'{medians[BASELINE] / medians[key]:.2f}, {differences[key]:.0e}' for key in keys)))
    rate = f'{1 / medians[BASELINE]:.4g} images/s for 1.00'
    print(f'\n{side} x {side} pixels, {rate}: speed, largest difference to PyTorch as a fraction of the range')
    print(cli.format_table(rows))


def photograph(side: int) -> np.ndarray:
    """Return a photograph as an input (1, 3, side, side), float32, 0 to 1."""
    pixels = np.asarray(images.read_rgb(sample_images.sample_paths()[0]).resize((side, side)))
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]) / np.float32(255)


def graphs_of(network: nn.Module) -> dict[str, BenchGraph]:
    """Return the graphs of a network by their names."""
    graphs = {
        CONCAT: BenchGraph(network, 'concat'),
        FLAT: BenchGraph(network, 'concat'),
        SPLIT: BenchGraph(network, 'split'),
    }
    if len(network.upscale) == 2:  # x4 enlarges twice, with a convolution in between
        graphs[ON_HOST] = BenchGraph(output_first(network), 'split', network.config['scale_factor'])
    return graphs


def output_first(network: nn.Module) -> nn.Module:
    """Copy an RDN so that the last convolution comes before the depth-to-space, and leave the depth-to-space out.

    The last convolution reads 3 x 3 enlarged pixels, which are inside 3 x 3 pixels before the enlargement. So a
    convolution there computes the same, if it has an output channel for each enlarged pixel inside one pixel.

    Args:
        network: an RDN of scale 2 or 3.

    Returns:
        The copy, whose output still needs a depth-to-space.
    """
    result = copy.deepcopy(network)
    scale, weight = network.config['scale_factor'], network.output.weight.detach()
    outputs, features = weight.shape[:2]
    merged = torch.zeros(outputs, scale, scale, features, scale, scale, 3, 3)
    for row, column, down, right in itertools.product(range(scale), range(scale), (-1, 0, 1), (-1, 0, 1)):
        (y, source_row), (x, source_column) = divmod(row + down, scale), divmod(column + right, scale)
        merged[:, row, column, :, source_row, source_column, y + 1, x + 1] += weight[:, :, down + 1, right + 1]
    result.upscale = nn.Sequential(result.upscale[0])
    result.output = nn.Conv2d(features * scale**2, outputs * scale**2, 3, padding=1)
    with torch.no_grad():
        result.output.weight.copy_(merged.reshape(result.output.weight.shape))
        result.output.bias.copy_(network.output.bias.repeat_interleave(scale**2))
    return result.eval()


def open_graph(name: str, graph: BenchGraph, side: int, folder: str) -> Ways:
    """Export a graph and open it in each engine and precision that this machine supports.

    Args:
        name: the graph's name.
        graph: the network to export.
        side: of the input, in pixels.
        folder: for the files.

    Returns:
        Functions that run the graph, by the names of engine and precision.
    """
    path = os.path.join(folder, f'{name}.onnx')
    export(name, graph, side, path)
    cores = cpu.available_cores()  # ONNX Runtime itself ignores the limits of taskset
    ways: Ways = {'ONNX Runtime, fp32': engines.OnnxRuntime(path, engines.Place('CPU', threads=cores))}
    if openvino.is_installed():
        ways['OpenVINO, fp32'] = engines.OpenVino(path, 'fp32', cores)
        if cpu.has_bf16() and is_allowed('AMX', 'BF16', 'FP16'):
            ways['OpenVINO, bf16'] = engines.OpenVino(path, 'bf16', cores)
        if cpu.has_int8() and is_allowed('AMX', 'BF16', 'FP16', 'VNNI'):
            eight = os.path.join(folder, f'{name}_int8.onnx')
            small = os.path.join(folder, f'{name}_small.onnx')
            export(name, graph, CALIBRATION_SIDE, small)
            scales = calibration.measure_scales(qdq.load(small), [photograph(CALIBRATION_SIDE)])
            model = qdq.load(path)
            layers = {qdq.name_of(conv) for conv in qdq.convolutions(model)}
            onnx.save(qdq.quantize(model, scales, layers - IN_FLOAT), eight)
            ways['OpenVINO, int8'] = engines.OpenVino(eight, 'int8', cores)
    if graph.shuffled > 1:
        return {engine: functools.partial(shuffle, way, graph.shuffled) for engine, way in ways.items()}
    return ways


def is_allowed(*parts: str) -> bool:
    """Return whether ONEDNN_MAX_CPU_ISA is unset, or allows instructions whose name contains one of these words."""
    most = os.environ.get('ONEDNN_MAX_CPU_ISA', 'DEFAULT').upper()
    return most in ('DEFAULT', 'ALL') or any(part in most for part in parts)


def export(name: str, graph: BenchGraph, side: int, path: str) -> None:
    """Write a graph to a file.

    Args:
        name: the graph's name; FLAT flattens its Concats.
        graph: the network to export.
        side: of the input, in pixels.
        path: of the ONNX file.
    """
    shape, variant = exporter.Shape(1, side, side), exporter.Variant(dense=graph.dense)
    exporter.export_onnx(graph.network, shape, OPSET, variant, path)
    if name == FLAT:
        model = onnx.load(path)
        flatten(model)
        onnx.save(model, path)


def flatten(model: onnx.ModelProto) -> None:
    """Change a model in place so that each Concat reads the features themselves, not the output of another Concat."""
    features: dict[str, list[str]] = {}
    for node in model.graph.node:
        if node.op_type == 'Concat':
            node.input[:] = list(itertools.chain(*(features.get(name, [name]) for name in node.input)))
            features[node.output[0]] = list(node.input)


def shuffle(run: Run, scale: int, image: np.ndarray) -> np.ndarray:
    """Run a graph on an image, and apply depth-to-space to its output.

    Args:
        run: the graph.
        scale: of the enlargement.
        image: (1, 3, H, W), float32.

    Returns:
        (1, 3, scale*H, scale*W), float32.
    """
    return functional.pixel_shuffle(torch.from_numpy(run(image)), scale).numpy()
