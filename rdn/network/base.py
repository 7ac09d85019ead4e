"""The base class of the architectures whose weights the project loads, checks and exports."""

from __future__ import annotations

import abc
from typing import Any, Dict, Tuple

from rdn.network import taps

StateDict = Dict[str, Any]  # name -> torch.Tensor; torch is not imported here, because that takes seconds
Config = Dict[str, Any]
Shapes = Dict[str, Tuple[int, ...]]


class Architecture(abc.ABC):
    """A family of networks that differ only in their configuration.

    A network accepts (N, num_channels, H, W), values 0...1, and returns (N, num_channels, scale*H, scale*W). Its
    attribute `config` is its configuration, which contains at least `scale_factor` and `num_channels`. It enlarges by
    `models.PixelShuffle` inside an `nn.Sequential`, which the export can replace.

    Attributes:
        name: the name in file names, in lower-case letters and digits, for example rdn.
        title: the name in captions and messages, for example RDN.
        operators: the operators in the exported graph, except those for `models.PixelShuffle`.
    """

    name: str
    title: str
    operators: frozenset[str]

    @abc.abstractmethod
    def owns(self, state_dict: StateDict) -> bool:
        """Return whether a state dict's keys belong to this architecture, even if it is incomplete or has errors."""

    @abc.abstractmethod
    def infer_config(self, state_dict: StateDict) -> Config:
        """Infer the configuration from the shapes in a state dict.

        Implementations must not trust the indices in the keys, which may be wrong and huge.

        Raises:
            ValueError: a key that the configuration depends on is missing or has a wrong shape; names the key.
        """

    @abc.abstractmethod
    def parameter_shapes(self, config: Config) -> Shapes:
        """Return key -> shape for each parameter, in the network's order, without building the network."""

    @abc.abstractmethod
    def build(self, config: Config) -> Any:
        """Return the network, an `nn.Module` with arbitrary weights."""

    def stages(self, network: Any) -> list[taps.Stage]:
        """Return the stages of a network.

        Each stage reads the image or earlier taps. The last stage computes the network's result; its name is
        taps.RESULT.

        Args:
            network: a network from `build`. Its modules may have been replaced by equivalent ones.
        """
        return [taps.Stage(taps.RESULT, (taps.IMAGE,), network)]

    def is_computed(self, key: str) -> bool:
        """Return whether a key is a buffer that the network computes itself, so that a file's values are ignored."""
        return False
