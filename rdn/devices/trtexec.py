"""trtexec, the GPU that the device is compared with: its log, of TensorRT 7, and of 8 and later."""

from __future__ import annotations

import re

from rdn.devices import base, speed

# The figures' heading, of TensorRT 7 (a block of lines), and of 8 and later (one line).
HEADING = re.compile(r'GPU Compute Time|GPU Compute[ \t]*\n.*\bmin: ')


class Trtexec(base.SpeedSource):
    """A GPU under TensorRT; the guide's is a T4."""

    name = 'trtexec'
    assumed_chip = 'T4'
    is_of_card = True
    is_reference = True

    @classmethod
    def is_log(cls, text: str) -> bool:
        """Whether a text is a log of trtexec."""
        return bool(HEADING.search(text))

    @classmethod
    def read_speed(cls, text: str) -> speed.Speed:
        """Read the Speed from the mean of GPU compute: TensorRT 7's block of lines, or the one line of 8 on.

        With several streams that mean is of one of them, and the rate in queries is the figure of the whole.
        """
        batch = _batch_of(text)
        streams = max([int(count) for count in re.findall(r'--streams=(\d+)', text)] or [1])
        if streams > 1:
            queries = speed.find_number(
                rf'Throughput: {speed.NUMBER} qps', text, f'Throughput in qps, of {streams} streams,'
            )
            return speed.Speed('trtexec', batch, queries * (batch or 1))
        mean = speed.find_number(
            rf'GPU Compute Time: .{{0,200}}?\bmean = {speed.NUMBER} ms\b|'
            rf'GPU Compute[ \t]*\n(?:.*\n){{0,4}}?.*\bmean: {speed.NUMBER} ms\b',
            text,
            'the mean of GPU Compute',
        )
        return speed.Speed('trtexec', batch, 1000 * (batch or 1) / mean)

    @classmethod
    def with_named_batch(cls, found: speed.Speed, named: int | None) -> speed.Speed:
        """Complete a Speed: a log without a batch size has the time of a whole batch."""
        if named and not found.batch:
            found = found._replace(rate=found.rate * named)
        return super().with_named_batch(found, named)


def _batch_of(text: str) -> int | None:
    """The batch size: what was bound counts, then what was asked for, in the order of what trtexec obeys."""
    patterns = (
        r'[Ii]nput binding for \S+ with dimensions (\d+)x',
        r'--shapes=\S+?:(\d+)x',
        r'--optShapes=\S+?:(\d+)x',
        r'--batch=(\d+)',
    )
    for pattern in patterns:
        found = {int(batch) for batch in re.findall(pattern, text)}
        if len(found) > 1:
            raise ValueError(f'inputs of batches of {" and ".join(map(str, sorted(found)))} in it: of several runs?')
        if found:
            return found.pop()
    return None
