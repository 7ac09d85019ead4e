"""Metadata follows the picture's turn and size, or is removed. The tests compute the expected values independently."""

import json
import struct

from enlarging import HEIGHT, WIDTH, enlarge
from pictures.formats import jpeg, pixels, reader
from pictures.metadata import change, exif, geotiff, metadata, photoshop, pixel_tags, xmp, xmp_pixels

import numpy as np
import pytest
import tifffile
from PIL import Image

PACKET = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:a="{}" a:{}/></rdf:RDF></x:xmpmeta>'
)


@pytest.fixture
def small(photo):
    return Image.fromarray(np.asarray(photo.resize((WIDTH, HEIGHT))))


@pytest.mark.parametrize('orientation', range(1, 9))
def test_a_place_turns_with_its_pixel(orientation):
    picture = np.zeros((HEIGHT, WIDTH, 1), np.uint8)
    picture[10, 20] = 255
    row, column = np.argwhere(pixels.upright(picture, orientation)[:, :, 0])[0]
    upright = pixels.upright(picture, orientation).shape[1::-1]
    how = change.Change(orientation, (WIDTH, HEIGHT), (upright[0] * 3, upright[1] * 2))
    assert how.point(20.5, 10.5) == pytest.approx(((column + 0.5) * 3, (row + 0.5) * 2))
    left, top, width, height = how.box_in((WIDTH, HEIGHT), (20, 10, 1, 1))
    assert (left, top, width, height) == pytest.approx((column * 3, row * 2, 3, 2))


# --- a maker's note


def block_with_note(note, before=0):
    """Return EXIF whose maker's note follows a value of 8 + `before` bytes, and the note's offset."""
    camera = {0x9101: exif.Value(7, 8 + before, bytes(8 + before)), 0x927C: exif.Value(7, len(note), note)}
    block = exif.serialise(exif.Tags('>', {}, {exif.EXIF_IFD: exif.Tags('>', camera, {})}))
    return block, block.index(note)


@pytest.mark.parametrize('before', [0, 50, 20_000])
def test_a_makers_note_keeps_its_offset_when_other_values_grow(before):
    block, offset = block_with_note(b'SONY CAM ' * 9, before)
    tags = exif.parse(block)
    camera = tags.children[exif.EXIF_IFD]
    for size in (5, 400, 30_000):
        values = {**camera.values, 0x9101: exif.Value(7, size, b'x' * size)}
        written = exif.serialise(tags._replace(children={exif.EXIF_IFD: camera._replace(values=values)}))
        assert written.index(b'SONY CAM ' * 9) == offset
        again = exif.parse(written).children[exif.EXIF_IFD].values
        assert again[0x9101].data == b'x' * size and again[0x927C].data == b'SONY CAM ' * 9


def test_a_makers_note_is_dropped_if_it_can_neither_stay_nor_move():
    for note, is_kept in ((b'SONY CAM ' * 9, False), (b'Nikon\0\2' + bytes(60), True)):
        tags = exif.parse(block_with_note(note, 59_990)[0])
        notes = []
        kept = pixel_tags.without_lost_note(tags, True, notes).children[exif.EXIF_IFD]
        assert (0x927C in kept.values) == is_kept == (not notes)


def test_apples_entries_about_a_video_and_a_gain_map_are_removed_and_the_rest_stays():
    entries = [(0x0001, 9, 1, 14), (0x0011, 2, 37, 100), (0x0021, 10, 1, 140), (0x0040, 2, 9, 150)]
    table = b''.join(struct.pack('>HHII', *entry) for entry in entries)
    note = b'Apple iOS\0\0\1MM' + struct.pack('>H', len(entries)) + table + bytes(4) + b'rest of the note'
    followed = pixel_tags.follow(exif.parse(block_with_note(note)[0]), change.Change(1, (9, 9), (18, 18)))
    data = followed.children[exif.EXIF_IFD].values[0x927C].data
    assert len(data) == len(note) and data.index(b'rest') == note.index(b'rest')
    assert struct.unpack('>H', data[14:16]) == (2,)
    assert data[16:40] == table[:12] + table[36:]


# --- XMP


def test_an_unchanged_packet_keeps_its_bytes():
    data = b'<?xpacket begin="\xef\xbb\xbf"?>' + PACKET.format('x', "b = 'c'").encode() + b'  \n<?xpacket end="w"?>'
    assert xmp_pixels.follow(data, change.Change(1, (9, 9), (18, 18)), []) == data


def test_line_breaks_and_special_characters_in_attributes_survive_a_change():
    data = PACKET.format('http://ns.adobe.com/tiff/1.0/', 'ImageWidth="9" a:Note="1&#10;2 &lt;&quot;&amp;\'"').encode()
    followed = xmp_pixels.follow(data, change.Change(1, (9, 9), (18, 18)), [])
    said = {name: found.text for _, name, found in xmp.Packet(followed or b'').properties() if found.is_simple}
    assert said['ImageWidth'] == '18' and said['Note'] == '1\n2 <"&\''


@pytest.mark.parametrize(
    'data',
    [
        b'<x:xmpmeta',
        b'<a/>' * 2,
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'.encode('utf-16'),
        b'<a>' * 5000 + b'</a>' * 5000,
        b'\xff\xff',
        b'<a b:c="d"/>',
        b'',
    ],
)
def test_damaged_or_malicious_xmp_is_dropped_with_a_note(data):
    notes = []
    assert xmp_pixels.follow(data, change.Change(1, (9, 9), (18, 18)), notes) is None
    assert notes == ['without its XMP: its XMP is damaged']


@pytest.mark.parametrize('packet', [b'', b'<x', b'<a/>', b'\xff<x:xmpmeta/>'])
def test_a_damaged_packet_that_names_an_extension_is_left_for_the_note_on_damage(packet):
    notes = []
    data = packet + b'xmpNote:HasExtendedXMP'
    assert xmp.without_extension(data, {}, notes) == data and notes == []


def test_regions_of_the_upright_picture_are_not_turned_again():
    properties = (
        'x="1"><r:Regions xmlns:r="http://www.metadataworkinggroup.com/schemas/regions/" '
        'xmlns:d="http://ns.adobe.com/xap/1.0/sType/Dimensions#" xmlns:s="http://ns.adobe.com/xmp/sType/Area#" '
        'rdf:parseType="Resource"><r:AppliedToDimensions d:w="64" d:h="96"/><r:RegionList><rdf:Bag>'
        '<rdf:li><rdf:Description><r:Area s:x="0.25" s:y="0.5" s:w="0.1" s:h="0.2"/></rdf:Description></rdf:li>'
        '</rdf:Bag></r:RegionList></r:Regions></rdf:Description'
    )
    data = PACKET.format('x', properties).replace('</rdf:Description/>', '</rdf:Description>').encode()
    followed = xmp_pixels.follow(data, change.Change(6, (96, 64), (128, 192)), [])
    assert followed and b's:x="0.25" s:y="0.5" s:w="0.1" s:h="0.2"' in followed and b'd:w="128" d:h="192"' in followed


def test_a_missing_or_broken_extension_leaves_no_reference_to_it():
    data = PACKET.format(xmp.NOTE, f'{xmp.DIGEST}="AB"').encode()
    for parts in ({}, {'AB': b'<broken'}, {'CD': data}):
        notes = []
        assert b'HasExtended' not in xmp.without_extension(data, parts, notes) and len(notes) == 1


def test_xmp_too_large_for_a_segment_of_jpeg_is_read_back_complete(tmp_path, small):
    text = 'x' * 150_000
    said = metadata.Metadata(xmp=PACKET.format('http://a/', f'b="{text}"').encode())
    with open(str(tmp_path / 'a.jpg'), 'wb') as file:
        jpeg.save(file, small, said, jpeg.base.Settings(), [])
    again = reader.read_picture(str(tmp_path / 'a.jpg'))
    assert not again.notes and [found.text for found in xmp.Packet(again.said.xmp or b'').find('http://a/', 'b')] == [
        text
    ]


# --- others


def test_iptc_with_reversed_bytes_in_a_tiff_is_corrected():
    right = b'\x1c\2\x78\0\3abc'
    turned = right[:4][::-1] + right[4:][::-1]
    assert photoshop.iptc_of_tiff(turned) == right == photoshop.iptc_of_tiff(right)


@pytest.mark.parametrize('order', '<>')
def test_iptc_is_kept_in_tiffs_of_both_byte_orders(tmp_path, small, order):
    records = b'\x1c\2\x78\0\3abc'
    tifffile.imwrite(str(tmp_path / 'a.tif'), np.asarray(small), photometric='rgb', byteorder=order,
                     extratags=[(33723, 'B', 8, records, True)])  # fmt: skip
    enlarge(tmp_path / 'a.tif', tmp_path / 'b.tif')
    with tifffile.TiffFile(str(tmp_path / 'b.tif')) as tiff:
        assert bytes(tiff.pages[0].tags[33723].value) == records


@pytest.mark.parametrize('is_point', [False, True])
def test_geotiff_maps_each_corner_and_centre_to_its_old_place(is_point):
    """Enlarged raster coordinates have the place on Earth that the old ones had."""
    keys = struct.pack('<8H', 1, 1, 0, 1, geotiff.RASTER_TYPE, 0, 1, 2 if is_point else 1)
    matrix = (3.0, 0.5, 0.0, 100.0, -0.25, -2.0, 0.0, 200.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)

    def double(*numbers):
        return exif.Value(12, len(numbers), struct.pack(f'<{len(numbers)}d', *numbers))

    values = {geotiff.KEYS: exif.Value(3, 8, keys), geotiff.TRANSFORMATION: double(*matrix)}
    values[geotiff.PIXEL_SCALE], values[geotiff.TIE_POINTS] = double(10, 20, 0), double(4, 2, 0, 500, 600, 0)
    followed = geotiff.follow(exif.Tags('<', values, {}), change.Change(1, (10, 10), (30, 25)), [])

    def placed(tags, x, y):
        at, scale, tie = (
            struct.unpack(f'<{n}d', tags.values[tag].data)
            for tag, n in ((geotiff.TRANSFORMATION, 16), (geotiff.PIXEL_SCALE, 3), (geotiff.TIE_POINTS, 6))
        )
        return (
            at[0] * x + at[1] * y + at[3], at[4] * x + at[5] * y + at[7],
            tie[3] + (x - tie[0]) * scale[0], tie[4] - (y - tie[1]) * scale[1],
        )  # fmt: skip

    half = 0.5 if is_point else 0
    for x, y in ((0, 0), (10, 10), (3, 7)):  # in pixels from the picture's corner
        before = placed(exif.Tags('<', values, {}), x - half, y - half)
        assert placed(followed, x * 3 - half, y * 2.5 - half) == pytest.approx(before)


def test_a_turned_geotiff_loses_its_place_on_earth_with_a_note(tmp_path, small):
    tags = [(33550, 'd', 3, (10.0, 10.0, 0.0), True), (274, 'H', 1, 6, True)]
    tifffile.imwrite(str(tmp_path / 'a.tif'), np.asarray(small), photometric='rgb', extratags=tags)
    assert any('place on Earth' in note for note in enlarge(tmp_path / 'a.tif', tmp_path / 'b.tif'))


def test_tifffiles_shape_is_removed_and_its_other_metadata_stay(tmp_path, small):
    for extra, expected in ({}, None), ({'lens': 'a'}, {'lens': 'a'}):
        tifffile.imwrite(str(tmp_path / 'a.tif'), np.asarray(small), photometric='rgb', metadata=extra)
        assert not enlarge(tmp_path / 'a.tif', tmp_path / 'b.tif')
        with Image.open(str(tmp_path / 'b.tif')) as image:
            said = image.tag_v2.get(270)
        assert said == expected or json.loads(said) == expected


def test_ome_of_a_stack_is_dropped_with_a_note(tmp_path, small):
    text = '<OME xmlns="x"><Image><Pixels SizeX="96" SizeY="64" SizeZ="5"/></Image></OME>'
    tifffile.imwrite(str(tmp_path / 'a.tif'), np.asarray(small), photometric='rgb', metadata=None, description=text)
    assert enlarge(tmp_path / 'a.tif', tmp_path / 'b.tif') == [
        'without its OME-XML, which describes more than this picture'
    ]


def test_unknown_segments_are_named(tmp_path, small):
    small.save(str(tmp_path / 'a.jpg'))
    data = (tmp_path / 'a.jpg').read_bytes()
    (tmp_path / 'a.jpg').write_bytes(data[:20] + b'\xff\xeb\0\x06JP\0\1' + b'\xff\xe1\0\x07FLIR\0' + data[20:])
    assert 'APP1, APP11' in enlarge(tmp_path / 'a.jpg', tmp_path / 'b.jpg')[0]


def test_a_comment_of_a_gif_stays(tmp_path, small):
    small.save(str(tmp_path / 'a.gif'), comment=b'a comment')
    enlarge(tmp_path / 'a.gif', tmp_path / 'b.png')
    with Image.open(str(tmp_path / 'b.png')) as image:
        assert image.text['Comment'] == 'a comment'


def test_a_picture_is_turned_by_the_orientation_in_its_raw_profile(tmp_path, small):
    from test_kept_metadata import with_chunks

    block = exif.serialise(exif.Tags('>', {0x0112: exif.Value(3, 1, b'\0\6')}, {}))
    text = b'Raw profile type exif\0\nexif\n%8d\n%s\n' % (len(block), block.hex().encode())
    with_chunks((b'tEXt', text))(str(tmp_path / 'a.png'), small)
    assert reader.read_picture(str(tmp_path / 'a.png')).pixels.shape[:2] == (WIDTH, HEIGHT)
    with_chunks((b'tEXt', text[:-9]))(str(tmp_path / 'a.png'), small)
    assert any('raw profile' in note for note in reader.read_picture(str(tmp_path / 'a.png')).notes)
    with_chunks((b'tEXt', text + b'{} of a longer profile'))(str(tmp_path / 'a.png'), small)
    picture = reader.read_picture(str(tmp_path / 'a.png'))
    assert picture.pixels.shape[:2] == (WIDTH, HEIGHT) and not picture.notes


@pytest.mark.skipif('MPO' not in Image.SAVE_ALL, reason='Pillow on Python 3.7 cannot write MPO')
def test_a_damaged_mpo_is_its_first_picture_with_a_note(tmp_path, small):
    small.save(str(tmp_path / 'a.jpg'), 'MPO', save_all=True, append_images=[small])
    data = (tmp_path / 'a.jpg').read_bytes()
    second = data.rindex(b'\xff\xd8\xff')
    for damaged in (
        data[:second],
        data[: second + 9],
        data[:second] + b'nothing' * 99,
        data.replace(b'MPF\0II*\0', b'MPF\0II*\1'),
    ):
        (tmp_path / 'b.jpg').write_bytes(damaged)
        picture = reader.read_picture(str(tmp_path / 'b.jpg'))
        assert picture.pixels.shape == (HEIGHT, WIDTH, 3)
        assert any('pictures in the file' in note or 'damaged' in note for note in picture.notes), picture.notes


@pytest.mark.skipif('MPO' not in Image.SAVE_ALL, reason='Pillow on Python 3.7 cannot write MPO')
def test_a_jpeg_with_a_gain_map_has_one_note_that_names_the_map(tmp_path, small):
    small.save(str(tmp_path / 'a.jpg'), 'MPO', save_all=True, append_images=[small])
    xmp = (
        b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        b'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"/></rdf:RDF></x:xmpmeta>'
    )
    data = (tmp_path / 'a.jpg').read_bytes()
    segment = b'\xff\xe1' + (len(xmp) + 2).to_bytes(2, 'big') + xmp
    (tmp_path / 'b.jpg').write_bytes(data[:2] + segment + data[2:])
    notes = enlarge(tmp_path / 'b.jpg', tmp_path / 'c.jpg')
    assert notes == ['without its gain map for HDR screens']
