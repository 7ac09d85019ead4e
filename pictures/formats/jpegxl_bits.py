"""The bits of a JPEG XL file's header (ISO 18181-1, annex B), for the modules that read and change it."""

from __future__ import annotations

# Two bits of a field select one of four pairs: the number of bits that follow, and the number that is added to them.
SIDE = ((9, 1), (13, 1), (18, 1), (30, 1))
BITS = ((0, 8), (0, 10), (0, 12), (6, 1))
EXTRA_CHANNELS = ((0, 0), (0, 1), (4, 2), (12, 1))
ENUM = ((0, 0), (0, 1), (4, 2), (6, 18))
SHIFT = ((0, 0), (0, 3), (0, 4), (3, 1))
NAME_LENGTH = ((0, 0), (4, 0), (5, 16), (10, 48))


class HeaderBits:
    """A reader of the bits of a codestream's header; the lowest bit of each byte comes first.

    Args:
        codestream: the codestream, from its signature on.
    """

    def __init__(self, codestream: bytes):
        self._data = codestream
        self.position = 16  # after the signature

    def take(self, count: int) -> int:
        """Read a number of `count` bits; raise ValueError at the end of the data."""
        end = self.position + count
        if end > 8 * len(self._data):
            raise ValueError('the file is truncated')
        part = int.from_bytes(self._data[self.position // 8 : (end + 7) // 8], 'little') >> self.position % 8
        self.position = end
        return part & ((1 << count) - 1)

    def choose(self, choices: tuple[tuple[int, int], ...]) -> int:
        """Read a field that has four choices, for example SIDE; raise ValueError at the end of the data."""
        count, offset = choices[self.take(2)]
        return self.take(count) + offset
