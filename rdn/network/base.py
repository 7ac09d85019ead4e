"""The base class of the architectures whose weights the project loads, checks and exports."""

from __future__ import annotations

import abc
from typing import Any, Dict, Tuple

from rdn.network import taps

StateDict = Dict[str, Any]  # name -> torch.Tensor; torch takes seconds to import, and names and titles do not need it
Config = Dict[str, Any]
Shapes = Dict[str, Tuple[int, ...]]


class Architecture(abc.ABC):
    """A family of networks that differ only in their configuration.

    A network takes (N, num_channels, H, W), values 0...1, and returns (N, num_channels, scale*H, scale*W). Its attribute
    `config` is its configuration, which holds at least `scale_factor` and `num_channels`. Its modules enlarge by
    `models.PixelShuffle` inside an `nn.Sequential`, which the export can replace.

    Attributes:
        name: for file names: lower-case letters and digits, as in rdn.
        title: for captions and messages, as in RDN.
        operators: of the exported graph, apart from those of `models.PixelShuffle`.
    """

    name: str
    title: str
    operators: frozenset[str]

    @abc.abstractmethod
    def owns(self, state_dict: StateDict) -> bool:
        """Return whether a state dict is of this architecture, by its keys; it may be incomplete or wrong otherwise."""

    @abc.abstractmethod
    def infer_config(self, state_dict: StateDict) -> Config:
        """Infer the configuration from the shapes of a state dict. Indices in its keys may be wrong, and huge.

        Raises:
            ValueError: a key that the configuration depends on is missing or has another shape; with its name.
        """

    @abc.abstractmethod
    def parameter_shapes(self, config: Config) -> Shapes:
        """Return key -> shape of each parameter, in the network's order, without building the network."""

    @abc.abstractmethod
    def build(self, config: Config) -> Any:
        """Return the network, an `nn.Module` with any weights."""

    def stages(self, network: Any) -> list[taps.Stage]:
        """Return the stages of a network that `build` made, whose modules may have been replaced since by equal ones.

        Each stage reads the image or earlier taps. The last one makes the network's result, and its name is taps.RESULT.
        """
        return [taps.Stage(taps.RESULT, (taps.IMAGE,), network)]

    def is_computed(self, key: str) -> bool:
        """Return whether a key of a state dict is a buffer that the network computes itself; a file's is ignored."""
        return False
