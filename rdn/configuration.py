"""The configuration of a walk: the network and its input size. All paths and names of the walk derive from them."""

from __future__ import annotations

from typing import NamedTuple

GUIDE_SCALE = 2  # the scale of the guide's network
GUIDE_NETWORK = 'rdn'  # the architecture of the guide's network
GUIDE = GUIDE_SCALE, GUIDE_NETWORK  # in the form that checkpoint.identify returns
LABEL_SIDE = 228  # pixels, as in the guide; inputs have 228 / scale
RESULTS = 'result'  # the folder of a walk's outputs, logs and figures
RESULT = 'result.json'
TABLE = f'{RESULTS}/batches.md'  # the table of the batch sizes
MODES = f'{RESULTS}/modes'  # the folder of a comparison of precision modes
GUIDE_SIDE = LABEL_SIDE // GUIDE_SCALE  # height and width of an input, in pixels


class Configuration(NamedTuple):
    """The network of a walk, and the names of its files.

    Attributes:
        weights: the path of the weights.
        scale: the scale of the network: 2, 3 or 4.
        network: the name of the architecture, as in file names.
        prepared: the folder of the prepared set.
        graph: the variant of the graph, as in file names; empty for the guide's graph.
        mode: the precision mode that a comparison of modes runs, as in file names; empty in an ordinary walk.
    """

    weights: str
    scale: int
    network: str = GUIDE_NETWORK
    prepared: str = 'prep_dataset'
    graph: str = ''
    mode: str = ''

    @property
    def side(self) -> int:
        """Height and width of an input, in pixels: 114 for x2, 76 for x3, 57 for x4."""
        return LABEL_SIDE // self.scale

    @property
    def name(self) -> str:
        """The model's name without batch size and ending: rdn_x2, or rdn_x2_split for a variant of the graph."""
        return '_'.join(filter(None, (f'{self.network}_x{self.scale}', self.graph)))

    @property
    def onnx(self) -> str:
        """The exported model's path."""
        return f'{self.name}.onnx'

    def model(self, batch_size: int) -> str:
        """Return the name of the model for a batch size, without ending: rdn_x2_bs4, or rdn_x2_bs4_fp16 in a mode."""
        return '_'.join(filter(None, (f'{self.name}_bs{batch_size}', self.mode)))

    def shape(self, batch_size: int) -> str:
        """Return the input's name and shape in the form of atc's --input_shape: image:4,3,114,114."""
        return f'image:{batch_size},3,{self.side},{self.side}'

    @property
    def caption_flags(self) -> list[str]:
        """The flag of RDN_postprocess.py that names the network; an empty list for the guide's network."""
        return [] if self.network == GUIDE_NETWORK else [f'--network={self.network}']

    @property
    def inputs(self) -> str:
        """The folder of the prepared inputs, spelled as in the guide."""
        return f'./{self.prepared}/data'

    @property
    def labels(self) -> str:
        """The folder of the labels, spelled as in the guide."""
        return f'./{self.prepared}/label'

    @property
    def info(self) -> str:
        """The info file: the list of inputs for benchmark."""
        return './RDN_prep_bin.info'

    def result_folder(self, batch_size: int) -> str:
        """Return the folder for the outputs, logs and records of a batch size; in a mode, a folder inside MODES."""
        return f'{MODES}/{self.model(batch_size)}' if self.mode else f'{RESULTS}/bs{batch_size}'
