"""Properties of tiles and their layouts for any size, by hypothesis."""

import json
import os
import tempfile

from rdn import tiles
from rdn.data import dataset

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st


@given(st.integers(1, 700), st.integers(1, 120), st.integers(0, 119))
def test_every_pixel_comes_once_from_the_inside_of_a_tile(length, size, overlap):
    assume(overlap < size)
    spans = tiles.spans(length, size, overlap)
    given_by = [pixel for span in spans for pixel in range(span.core_start, span.core_stop)]
    assert given_by == list(range(length))
    assert spans[0].start == 0
    for span in spans:
        assert span.stop - span.start == size
        assert span.start <= span.core_start < span.core_stop <= min(span.stop, length)
    for left, right in zip(spans, spans[1:]):
        assert left.stop - right.start >= overlap
        # Except at the picture's edges, each pixel is at least half an overlap away from its tile's border.
        assert left.stop - left.core_stop >= overlap // 2 and right.core_start - right.start >= overlap // 2
    if length >= size:
        assert spans[-1].stop == length


@given(st.integers(1, 60), st.integers(1, 60), st.integers(2, 4), st.integers(1, 20), st.integers(0, 9))
def test_cutting_and_joining_returns_the_picture_for_every_size(height, width, scale, size, overlap):
    assume(overlap < size)
    picture = np.random.RandomState(0).rand(3, height, width).astype(np.float32)
    layout = tiles.Layout(height, width, [size, size], overlap, scale)
    outputs = (
        (tile, tiles.cut(picture, tile).repeat(scale, 1).repeat(scale, 2))
        for tile in dataset.input_tiles('a', layout).values()
    )
    assert (tiles.join(outputs, layout) == picture.repeat(scale, 1).repeat(scale, 2)).all()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from([*tiles.Layout._fields, 'source', 'label']), JSON) | JSON)
def test_any_layout_is_read_or_refused(content):
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, 'a.json'), 'w') as file:
            json.dump(content, file)
        try:
            cases = dataset.find_cases(folder, 114, 114, 2)
        except ValueError as error:
            assert 'a.json' in str(error) or 'a.npy' in str(error)
        else:
            assert cases[0].input_stems()
