"""The configuration of a walk: the network and its input size, from which every path and name follows."""

from __future__ import annotations

from typing import NamedTuple

GUIDE_SCALE = 2  # of the guide's network; its sizes are the scripts' defaults
GUIDE_NETWORK = 'rdn'  # the name of its architecture
GUIDE = GUIDE_SCALE, GUIDE_NETWORK  # as checkpoint.identify has them
LABEL_SIDE = 228  # pixels, the guide's; inputs have 228 / scale
RESULTS = 'result'  # the folder of all that the guide's own walk measures
RESULT = 'result.json'
TABLE = f'{RESULTS}/batches.md'  # of several batch sizes
MODES = f'{RESULTS}/modes'  # the folder of a comparison of precision modes
GUIDE_SIDE = LABEL_SIDE // GUIDE_SCALE  # pixels of an input


class Configuration(NamedTuple):
    """What one walk works with.

    Attributes:
        weights: the checkpoint's path.
        scale: of its network: 2, 3 or 4.
        network: the name of its architecture, as file names have it.
        prepared: the folder of the prepared set.
        graph: the variant of the graph, as file names have it; empty for the guide's.
        mode: the precision mode that is compared, as file names have it; empty for the walk's own.
    """

    weights: str
    scale: int
    network: str = GUIDE_NETWORK
    prepared: str = 'prep_dataset'
    graph: str = ''
    mode: str = ''

    @property
    def side(self) -> int:
        """Height and width of an input, pixels: 114 for x2, 76 for x3, 57 for x4."""
        return LABEL_SIDE // self.scale

    @property
    def name(self) -> str:
        """The model's name, without batch size and ending: rdn_x2; of a variant of the graph rdn_x2_split."""
        return '_'.join(filter(None, (f'{self.network}_x{self.scale}', self.graph)))

    @property
    def onnx(self) -> str:
        """The exported model's path."""
        return f'{self.name}.onnx'

    def model(self, batch_size: int) -> str:
        """The name of the model for a batch size, without ending: rdn_x2_bs4; in a mode rdn_x2_bs4_fp16."""
        return '_'.join(filter(None, (f'{self.name}_bs{batch_size}', self.mode)))

    def shape(self, batch_size: int) -> str:
        """The input's name and shape as atc takes them: image:4,3,114,114."""
        return f'image:{batch_size},3,{self.side},{self.side}'

    @property
    def caption_flags(self) -> list[str]:
        """The flag of RDN_postprocess.py that names the network, unless it is the guide's."""
        return [] if self.network == GUIDE_NETWORK else [f'--network={self.network}']

    @property
    def inputs(self) -> str:
        """The folder of the prepared inputs, as the guide writes it."""
        return f'./{self.prepared}/data'

    @property
    def labels(self) -> str:
        """The folder of the labels, as the guide writes it."""
        return f'./{self.prepared}/label'

    @property
    def info(self) -> str:
        """The list of inputs for benchmark."""
        return './RDN_prep_bin.info'

    def result_folder(self, batch_size: int) -> str:
        """The folder for outputs, logs and records of a batch size; of a mode below MODES."""
        return f'{MODES}/{self.model(batch_size)}' if self.mode else f'{RESULTS}/bs{batch_size}'
