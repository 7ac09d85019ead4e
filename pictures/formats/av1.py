"""Reading the colour space from an AV1 sequence header (AV1 Bitstream & Decoding Process Specification, 5.5)."""

from __future__ import annotations

from typing import NamedTuple

SEQUENCE_HEADER = 1  # a type of OBU
SELECT = 2  # a value of seq_force_screen_content_tools: each frame decides
MOST_BYTES = 1 << 12  # enough for the sequence header, which is the first or second OBU of a picture


class Colours(NamedTuple):
    """A colour space as numbers of ITU-T H.273.

    Attributes:
        primaries: ColourPrimaries.
        transfer: TransferCharacteristics.
        matrix: MatrixCoefficients.
    """

    primaries: int
    transfer: int
    matrix: int


class _Bits:
    """A reader of unsigned numbers from bytes; the highest bit comes first."""

    def __init__(self, data: bytes):
        self._number, self._left = int.from_bytes(data, 'big'), 8 * len(data)

    def take(self, count: int = 1) -> int:
        """Return the next bits as a number; raise EOFError if there are not enough."""
        if count > self._left:
            raise EOFError
        self._left -= count
        return self._number >> self._left & (1 << count) - 1

    def take_variable(self) -> int:
        """Return the next number in the format uvlc (4.10.3)."""
        zeros = 0
        while not self.take():
            zeros += 1
        return self.take(zeros) + (1 << zeros) - 1 if zeros < 32 else (1 << 32) - 1


def colours_of(data: bytes) -> Colours | None:
    """Return the colour space in a picture's sequence header.

    Args:
        data: the picture's OBUs, or only the first ones; they must include the sequence header.

    Returns:
        The colour space; None if the sequence header is missing, damaged or without a colour space.
    """
    data, position = data[:MOST_BYTES], 0
    try:
        while position < len(data):
            head = data[position]
            position += 2 if head & 4 else 1
            size, position = _take_size(data, position) if head & 2 else (len(data) - position, position)
            if head >> 3 & 15 == SEQUENCE_HEADER:
                return _colours_of_header(_Bits(data[position : position + size]))
            position += size
    except (EOFError, IndexError):
        pass  # the data are damaged; the decoder will report it
    return None


def _take_size(data: bytes, position: int) -> tuple[int, int]:
    """Return a number in the format leb128 (4.10.5), and the position after it."""
    size = 0
    for count in range(8):
        size |= (data[position + count] & 0x7F) << 7 * count
        if not data[position + count] & 0x80:
            break
    return size, position + count + 1


def _colours_of_header(bits: _Bits) -> Colours | None:
    """Read sequence_header_obu (5.5.1) up to the colour space; the comments name the standard's fields."""
    profile = bits.take(3)
    bits.take()  # still_picture
    is_reduced = bits.take()  # reduced_still_picture_header
    if is_reduced:
        bits.take(5)  # seq_level_idx
    else:
        _pass_operating_points(bits)
    width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
    bits.take(width_bits + height_bits)
    if not is_reduced and bits.take():  # frame_id_numbers_present_flag
        bits.take(4 + 3)
    bits.take(3)  # use_128x128_superblock, enable_filter_intra, enable_intra_edge_filter
    if not is_reduced:
        _pass_inter_tools(bits)
    bits.take(3)  # enable_superres, enable_cdef, enable_restoration
    is_deep = bits.take()  # high_bitdepth
    if profile == 2 and is_deep:
        bits.take()  # twelve_bit
    if profile != 1:
        bits.take()  # mono_chrome
    return Colours(bits.take(8), bits.take(8), bits.take(8)) if bits.take() else None


def _pass_operating_points(bits: _Bits) -> None:
    """Skip timing_info, decoder_model_info and the operating points (5.5.3 to 5.5.5)."""
    delay_bits = 0
    if bits.take():  # timing_info_present_flag
        bits.take(32 + 32)
        if bits.take():  # equal_picture_interval
            bits.take_variable()
        if bits.take():  # decoder_model_info_present_flag
            delay_bits = bits.take(5) + 1
            bits.take(32 + 5 + 5)
    has_delays = bits.take()  # initial_display_delay_present_flag
    for _ in range(bits.take(5) + 1):
        bits.take(12)  # operating_point_idc
        if bits.take(5) > 7:  # seq_level_idx
            bits.take()  # seq_tier
        if delay_bits and bits.take():  # decoder_model_present_for_this_op
            bits.take(2 * delay_bits + 1)
        if has_delays and bits.take():
            bits.take(4)  # initial_display_delay_minus_1


def _pass_inter_tools(bits: _Bits) -> None:
    bits.take(4)  # enable_interintra_compound, enable_masked_compound, enable_warped_motion, enable_dual_filter
    has_order = bits.take()  # enable_order_hint
    if has_order:
        bits.take(2)  # enable_jnt_comp, enable_ref_frame_mvs
    screen_content = SELECT if bits.take() else bits.take()
    if screen_content and not bits.take():  # seq_choose_integer_mv
        bits.take()  # seq_force_integer_mv
    if has_order:
        bits.take(3)  # order_hint_bits_minus_1
