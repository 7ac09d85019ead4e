"""For tools.bench: graphs that compute the same numbers, with and without Concat, in several engines and precisions."""

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
CALIBRATION_SIDE = 64  # of the photograph whose values give the scales of eight bits, pixels
IN_FLOAT = {'sfe1', 'sfe2', 'gff.0', 'gff.1', 'upscale.0', 'output'}  # what RDN_quantize.py leaves so, as a rule
Run = Callable[[np.ndarray], np.ndarray]
Ways = Dict[str, Run]  # engine and precision -> a function (1, 3, H, W) -> (1, 3, scale*H, scale*W)


class BenchGraph(NamedTuple):
    """A network to export.

    Attributes:
        network: in PyTorch.
        dense: as in exporter.Variant.
        shuffled: scale of the depth-to-space that the host does on the graph's output; 1: none.
    """

    network: nn.Module
    dense: str
    shuffled: int = 1


def bench(network: nn.Module, side: int, rounds: int) -> None:
    """Print the speed of each graph in each engine, and its largest difference to PyTorch as a fraction of the output's range.

    Args:
        network: an RDN.
        side: of the input, pixels.
        rounds: how often each is timed.
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
    """A photograph as an input (1, 3, side, side), float32, 0...1."""
    pixels = np.asarray(images.read_rgb(sample_images.sample_paths()[0]).resize((side, side)))
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]) / np.float32(255)


def graphs_of(network: nn.Module) -> dict[str, BenchGraph]:
    """The graphs of a network by their names."""
    graphs = {
        CONCAT: BenchGraph(network, 'concat'),
        FLAT: BenchGraph(network, 'concat'),
        SPLIT: BenchGraph(network, 'split'),
    }
    if len(network.upscale) == 2:  # x4 enlarges twice, with a convolution in between
        graphs[ON_HOST] = BenchGraph(output_first(network), 'split', network.config['scale_factor'])
    return graphs


def output_first(network: nn.Module) -> nn.Module:
    """Copy an RDN, with the last convolution before the depth-to-space, which is left out.

    That convolution reads 3 x 3 enlarged pixels. They lie in 3 x 3 pixels before the enlargement, so that a convolution
    with an output channel for each enlarged pixel of a pixel does the same.
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
    """A graph in each engine and precision that is here."""
    path = os.path.join(folder, f'{name}.onnx')
    export(name, graph, side, path)
    cores = cpu.available_cores()  # taskset leaves fewer, which ONNX Runtime does not see
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
    """Whether ONEDNN_MAX_CPU_ISA is not set, or names instructions with one of these words in their name."""
    most = os.environ.get('ONEDNN_MAX_CPU_ISA', 'DEFAULT').upper()
    return most in ('DEFAULT', 'ALL') or any(part in most for part in parts)


def export(name: str, graph: BenchGraph, side: int, path: str) -> None:
    """Write a graph for one image of side x side pixels."""
    shape, variant = exporter.Shape(1, side, side), exporter.Variant(dense=graph.dense)
    exporter.export_onnx(graph.network, shape, OPSET, variant, path)
    if name == FLAT:
        model = onnx.load(path)
        flatten(model)
        onnx.save(model, path)


def flatten(model: onnx.ModelProto) -> None:
    """Let each Concat read features alone, and no other Concat's output, in place."""
    features: dict[str, list[str]] = {}
    for node in model.graph.node:
        if node.op_type == 'Concat':
            node.input[:] = list(itertools.chain(*(features.get(name, [name]) for name in node.input)))
            features[node.output[0]] = list(node.input)


def shuffle(run: Run, scale: int, image: np.ndarray) -> np.ndarray:
    """Run a graph on an image, and enlarge what it computes by depth-to-space."""
    return functional.pixel_shuffle(torch.from_numpy(run(image)), scale).numpy()
