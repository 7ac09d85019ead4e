"""AVIF and HEIC files with several items: only the primary item and its own properties are used."""

import io
import os
import struct

from pictures import workload
from pictures.formats import av1, items, reader

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from heif_files import Item, auxiliary, box, build, clap, coded, full_box, grid, imir, irot, ispe, nclx

pillow_heif = pytest.importorskip('pillow_heif', reason='pillow-heif needs Python 3.10 or later')

WIDTH, HEIGHT = 96, 64
TOLERANCE = 6  # of 255, because the pictures are coded with a small loss
PQ = {b'cICP': bytes([9, 16, 0, 1])}
CASES = os.path.join(os.path.dirname(__file__), '..', '..', '..', '..', 'shared', 'cases', 'pictures')


def smooth(seed=0):
    """Return a picture (HEIGHT, WIDTH, 3), uint8, that is different at each corner."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] / (WIDTH - 1)
    planes = (40 + 90 * x, 40 + 150 * y, 200 - 60 * x - 60 * y)
    return np.clip(np.dstack(planes) + 20 * seed, 0, 255).astype(np.uint8)


def as_avif(array):
    return coded(imagecodecs.avif_encode(array, level=98, pixelformat='444', speed=9))


def as_deep_avif(array):
    return coded(
        imagecodecs.avif_encode(array.astype(np.uint16) * 4, level=98, bitspersample=10, pixelformat='444', speed=9)
    )


def as_heic(array):
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(array)).save(file, quality=100, chroma=444)
    return coded(file.getvalue())


FORMATS = {'avif': (b'av01', as_avif), 'deep.avif': (b'av01', as_deep_avif), 'heic': (b'hvc1', as_heic)}


class Maker:
    """Makes items of one format, and reads files that contain them."""

    def __init__(self, name, folder):
        self.kind, self.encode = FORMATS[name]
        self.path = os.path.join(str(folder), 'a.' + name)

    def __call__(self, array, *properties, is_hidden=False):
        content, own = self.encode(array)
        return Item(self.kind, content, (ispe(array.shape[1], array.shape[0]), *own, *properties), is_hidden)

    def read(self, items_, references=(), **layout):
        """Return the picture that is read from a file with these items."""
        with open(self.path, 'wb') as file:
            file.write(build(items_, references, brand=b'heic' if self.kind == b'hvc1' else b'avif', **layout))
        return reader.read_picture(self.path)


@pytest.fixture(params=['avif', pytest.param('deep.avif', marks=pytest.mark.slow), 'heic'])
def make(request, tmp_path):
    return Maker(request.param, tmp_path)


def assert_shows(picture, expected):
    shown = picture.pixels.astype(float) * (255 / np.iinfo(picture.pixels.dtype).max)
    assert shown.shape == expected.shape
    assert np.abs(shown - expected).max() <= TOLERANCE


def test_the_colours_and_depth_of_a_hidden_gain_map_are_ignored(make):
    picture = make.read(
        [
            make(smooth(), nclx(1, 13)),
            make(smooth(2), nclx(9, 16), is_hidden=True),
            Item(b'tmap', b'\0' * 62, (ispe(WIDTH, HEIGHT), nclx(9, 16))),
        ],
        [(b'dimg', 3, [1, 2])],
        places_last=True,
    )
    assert_shows(picture, smooth())
    assert picture.said.png_colour == {} and picture.notes == ['without its gain map for HDR screens']


def test_the_colours_of_a_thumbnail_are_ignored(make):
    items_ = [make(smooth()[::2, ::2], nclx(9, 16)), make(smooth(), nclx(1, 13))]
    picture = make.read(items_, [(b'thmb', 1, [2])], primary=2)
    assert_shows(picture, smooth())
    assert picture.said.png_colour == {} and picture.notes == []


def test_the_primary_one_of_several_pictures_is_read_and_a_note_names_the_others(make):
    both = [make(smooth(), nclx(1, 13)), make(smooth(2), nclx(9, 16))]
    picture = make.read(both, primary=2)
    assert_shows(picture, smooth(2))
    assert picture.said.png_colour == PQ and picture.notes == ['has 2 pictures: the main (primary) one is enlarged']
    assert make.read(both).said.png_colour == {}


def test_a_note_names_a_depth_map(make):
    depth = make(smooth(2), auxiliary(b'urn:mpeg:hevc:2015:auxid:2'))
    picture = make.read([make(smooth()), depth], [(b'auxl', 2, [1])])
    assert_shows(picture, smooth())
    assert picture.notes == ['without its auxiliary pictures, a depth map for example']


@pytest.mark.parametrize(
    ('crop', 'rows', 'columns'),
    [
        (clap(20, 10), slice(27, 37), slice(38, 58)),
        (clap(20, 10, -38, 27), slice(54, 64), slice(0, 20)),
        (clap(21, 11, 1, -1, divisor=2), slice(26, 37), slice(38, 59)),
    ],
)
def test_a_crop_is_applied_before_the_turn(make, crop, rows, columns):
    picture = make.read([make(smooth(), crop)])
    assert_shows(picture, smooth()[rows, columns])
    assert sorted(reader.read_size(make.path)) == sorted(picture.pixels.shape[:2])
    turned = make.read([make(smooth(), crop, irot(1), imir(1))])
    assert_shows(turned, np.rot90(smooth()[rows, columns])[:, ::-1])
    header = workload.look_at(make.path)
    assert (header.height, header.width) == turned.pixels.shape[:2]


@pytest.mark.slow
@pytest.mark.parametrize('quarters', [None, 0, 1, 2, 3])
@pytest.mark.parametrize('axis', [None, 0, 1])
def test_turns_and_mirrors_are_applied_in_their_order(make, quarters, axis):
    """By ISO 23008-12, 6.5.10 and 6.5.12, a quarter turn is anticlockwise, and axis 0 swaps top and bottom."""
    properties = [] if quarters is None else [irot(quarters)]
    properties += [] if axis is None else [imir(axis)]
    expected = np.rot90(smooth(), quarters or 0)
    expected = expected if axis is None else expected[::-1] if axis == 0 else expected[:, ::-1]
    assert_shows(make.read([make(smooth(), *properties)]), expected)


def test_the_turn_of_another_item_is_ignored(make):
    picture = make.read([make(smooth()), make(smooth(2), irot(1), clap(8, 8))], places_last=True)
    assert_shows(picture, smooth())


def test_a_crop_outside_the_picture_is_refused(make):
    with pytest.raises(ValueError, match='cannot be used as an image'):
        make.read([make(smooth(), clap(20, 10, 100, 0))])


@pytest.mark.parametrize('numbers', [(9, 16), (9, 18), (12, 13), (1, 13)])
@pytest.mark.parametrize('bits', [8, 10])
def test_an_avif_without_a_colour_box_has_the_colours_of_its_bitstream(tmp_path, numbers, bits):
    array = smooth() if bits == 8 else smooth().astype(np.uint16) * 4
    whole = imagecodecs.avif_encode(
        array, level=90, speed=9, pixelformat='444', bitspersample=bits, primaries=numbers[0], transfer=numbers[1]
    )
    assert whole.count(b'colr') == 1
    pictures = []
    for name, data in (('with.avif', whole), ('without.avif', whole.replace(b'colr', b'free'))):
        (tmp_path / name).write_bytes(data)
        pictures.append(reader.read_picture(str(tmp_path / name)))
    assert pictures[0].said.png_colour == pictures[1].said.png_colour
    expected = {} if numbers == (1, 13) else {b'cICP': bytes([*numbers, 0, 1])}
    assert (pictures[1].said.png_colour or {}) == expected


def test_a_grid_has_the_colours_of_its_parts_which_do_not_count_as_pictures(make):
    tile = smooth()  # the sides of a part must have at least 64 pixels
    whole = Item(b'grid', grid(1, 2, 2 * tile.shape[1], tile.shape[0]), (ispe(2 * tile.shape[1], tile.shape[0]),))
    parts = [make(tile, nclx(9, 16), is_hidden=True), make(tile[::-1], nclx(9, 16), is_hidden=True)]
    picture = make.read([*parts, whole], [(b'dimg', 3, [1, 2])], primary=3)
    assert_shows(picture, np.concatenate([tile, tile[::-1]], 1))
    assert picture.said.png_colour == PQ and picture.notes == []


@pytest.mark.skipif(not os.path.isdir(CASES), reason='the folder shared/cases is missing')
def test_a_note_names_the_other_picture_of_a_burst():
    picture = reader.read_picture(os.path.join(CASES, 'burst.heic'))
    assert picture.pixels.shape == (64, 96, 3)
    assert picture.notes == ['has 2 pictures: the main (primary) one is enlarged']


def test_a_damaged_list_of_items_is_read_or_refused():
    whole = build([Item(b'av01', b'', (ispe(4, 4), clap(2, 2), irot(1), nclx(9, 16)))])
    for place in range(20, len(whole)):
        for value in (0, 255):
            try:
                found = items.of(whole[:place] + bytes([value]) + whole[place + 1 :])
                found and (found.notes(), found.orientation(), found.size(), found.crop_for(4, 4), found.start())
            except ValueError:
                pass


def test_a_grid_without_a_colour_box_has_the_colours_of_its_parts(tmp_path):
    parts = []
    for tile in (smooth(), smooth()[::-1].copy()):
        encoded = imagecodecs.avif_encode(tile, level=90, speed=9, pixelformat='444', primaries=9, transfer=16)
        content, properties = coded(bytes(encoded))
        parts.append(Item(b'av01', content, (*properties, ispe(WIDTH, HEIGHT)), True))
    whole = Item(b'grid', grid(1, 2, 2 * WIDTH, HEIGHT), (ispe(2 * WIDTH, HEIGHT),))
    (tmp_path / 'a.avif').write_bytes(build([*parts, whole], [(b'dimg', 3, [1, 2])], primary=3))
    assert reader.read_picture(str(tmp_path / 'a.avif')).said.png_colour == PQ


def test_a_sequence_without_a_colour_box_has_the_colours_of_its_bitstream(tmp_path):
    frames = np.stack([smooth().astype(np.uint16) * 4] * 3)
    encoded = imagecodecs.avif_encode(
        frames, level=90, speed=9, pixelformat='444', bitspersample=10, primaries=9, transfer=16
    )
    (tmp_path / 'a.avif').write_bytes(bytes(encoded).replace(b'colr', b'free').replace(b'pitm', b'free'))
    assert reader.read_picture(str(tmp_path / 'a.avif')).said.png_colour == PQ


@pytest.mark.parametrize('name, number', [(b'stco', struct.pack('>I', 77)), (b'co64', struct.pack('>Q', 77))])
def test_offsets_of_a_track_have_four_or_eight_bytes(name, number):
    table = full_box(name, struct.pack('>I', 1), number)
    file = box(b'moov', box(b'trak', box(b'mdia', box(b'minf', box(b'stbl', table)))))
    assert items.start_of_track(file) == 77


# Parts of a sequence header as bits, in the order of the AV1 specification (5.5.1 to 5.5.4).
REDUCED = '000' + '1' + '1' + '00100'  # profile 0, a still picture, the reduced header, a level
PLAIN = '000' + '1' + '0' + '0' + '0' + '00000' + '0' * 12 + '00100'  # no timing, no delays, one operating point
TIMED = (
    '000' + '0' + '0'
    + '1' + f'{1:032b}' + f'{30:032b}' + '1' + '00101'  # timing, with equal intervals: uvlc 4
    + '1' + '00011' + f'{9:032b}' + '00100' + '00100'  # a decoder model, with delays of four bits
    + '1' + '00001'  # display delays, two operating points
    + '0' * 12 + '01000' + '1' + '1' + '1010' + '0101' + '0' + '1' + '1001'  # level 8 has a tier
    + '0' * 12 + '00100' + '0' + '0'
)  # fmt: skip
SIZE = '0011' + '0011' + '1001' + '0110'  # four bits each for width and height
STILL_TOOLS = '101' + '011'
TOOLS = '0' + '101' + '1111' + '1' + '11' + '0' + '1' + '0' + '1' + '110' + '011'  # with an order hint
TOOLS_WITH_IDS = '1' + '0010' + '001' + '101' + '1111' + '0' + '1' + '1' + '011'  # without an order hint
COLOURS = '0' + '0' + '1' + f'{9:08b}' + f'{16:08b}' + f'{9:08b}'


def as_bytes(bits):
    bits += '1' + '0' * (-len(bits) - 1 & 7)
    return int(bits, 2).to_bytes(len(bits) // 8, 'big')


@pytest.mark.parametrize(
    'bits',
    [
        REDUCED + SIZE + STILL_TOOLS + COLOURS,
        PLAIN + SIZE + TOOLS + COLOURS,
        PLAIN + SIZE + TOOLS_WITH_IDS + COLOURS,
        TIMED + SIZE + TOOLS + COLOURS,
        '010' + REDUCED[3:] + SIZE + STILL_TOOLS + '1' + '1' + COLOURS[1:],  # profile 2 of 12 bits
        '001' + REDUCED[3:] + SIZE + STILL_TOOLS + '0' + COLOURS[2:],  # profile 1 is never monochrome
    ],
)
def test_each_form_of_a_sequence_header_names_its_colours(bits):
    header = as_bytes(bits)
    delimiter = b'\x12\0'  # an OBU of another type, with its size
    plain, extended = b'\x0a' + bytes([len(header)]), b'\x0e\0' + bytes([len(header)])
    for content in (b'\x08' + header, plain + header, delimiter + extended + header + b'\x32\1\0'):
        assert av1.colours_of(content) == (9, 16, 9)


def test_a_sequence_header_without_colours_names_none():
    assert av1.colours_of(b'\x08' + as_bytes(REDUCED + SIZE + STILL_TOOLS + '000')) is None
    assert av1.colours_of(b'\x12\0') is None and av1.colours_of(b'') is None


def test_a_damaged_bitstream_is_read_without_an_error():
    content, _ = as_avif(smooth())
    for place in range(32):
        for value in range(256):
            av1.colours_of(content[:place] + bytes([value]) + content[place + 1 : 64])
        av1.colours_of(content[:place])


def sequence(photo):
    """Return an animated AVIF that Pillow wrote."""
    file = io.BytesIO()
    frames = [photo.crop((0, 0, 64, 64)), photo.crop((8, 8, 72, 72))]
    frames[0].save(file, 'AVIF', save_all=True, append_images=frames[1:], quality=90, icc_profile=b'')
    return file.getvalue()


def test_the_colours_of_a_sequence_come_from_its_track(tmp_path, photo):
    content = sequence(photo).replace(b'pitm', b'free')  # without a primary item, only the track describes the frames
    assert content.count(b'nclx\x00\x01\x00\x0d') >= 1
    (tmp_path / 'a.avif').write_bytes(content.replace(b'nclx\x00\x01\x00\x0d', b'nclx\x00\x09\x00\x10'))
    picture = reader.read_picture(str(tmp_path / 'a.avif'))
    assert picture.pixels.shape == (64, 64, 3) and picture.notes == ['the first of 2 frames']
    assert picture.said.png_colour == PQ
    assert reader.read_size(str(tmp_path / 'a.avif')) == (64, 64)
