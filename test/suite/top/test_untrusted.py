"""Hostile files are refused with one clear line, in bounded memory and time; their code never runs."""

import contextlib
import io
import json
import os
import pickle
import secrets
import stat
import struct
import zlib

from rdn import files

import numpy as np
import pytest

import models
from helpers import Payload, assert_refused, snapshot

torch = models.torch


# --- labels and outputs


@pytest.fixture
def labelled(tmp_path, monkeypatch):
    """A folder with a label of 228 x 228 and its output, without a manifest."""
    monkeypatch.chdir(tmp_path)
    os.makedirs('label')
    os.makedirs('pred')
    picture = np.random.RandomState(0).rand(1, 3, 228, 228).astype(np.float32)
    np.save('label/a.npy', picture)
    picture.tofile('pred/a_1.bin')
    return ['--pred-path=pred', '--label-path=label', '--result-path=result.json']


def npy_header(shape):
    file = io.BytesIO()
    header = {'descr': '<f4', 'fortran_order': False, 'shape': shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()


@pytest.mark.slow
def test_an_npy_with_objects_or_a_header_of_gigabytes_is_refused(limited, labelled):
    contents = {
        'objects': pickle.dumps(Payload()),
        'header': npy_header((1, 3, 70000, 70000)) + b'1234',
        'negative': npy_header((-1, 3, 2, 2)),
        'long header': b'\x93NUMPY\x02\x00' + struct.pack('<I', 1 << 31),
        'code': b"\x93NUMPY\x01\x00\x50\x00{'descr': __import__('os').mkdir('payload ran')}",
        'deep': b'\x93NUMPY\x02\x00' + struct.pack('<I', 100000) + b'[' * 100000,
    }
    np.save('objects.npy', np.array([Payload()], object), allow_pickle=True)
    with open('objects.npy', 'rb') as file:
        contents['array of objects'] = file.read()
    for content in contents.values():
        for path in ('label/a.npy', 'pred/a_0.npy'):
            os.makedirs('kept', exist_ok=True)
            moved = 'label/a.npy' if path.startswith('label') else 'pred/a_1.bin'
            os.rename(moved, 'kept/it')
            with open(path, 'wb') as file:
                file.write(content)
            assert_refused(limited('RDN_postprocess.py', *labelled), path)
            os.remove(path)
            os.rename('kept/it', moved)
    assert not os.path.exists('payload ran') and not os.path.exists('result.json')


@pytest.mark.slow
def test_an_output_or_list_of_gigabytes_is_refused_unread(limited, labelled):
    os.rename('pred/a_1.bin', 'pred/a_1.txt')
    sparse('pred/a_1.txt', 2 << 30)
    assert_refused(limited('RDN_postprocess.py', *labelled), 'pred/a_1.txt', 'bytes')
    sparse('a.info', 2 << 30)
    ended = limited('RDN_infer.py', '-om_path=a.onnx', '-batch_size=1', '-input_text_path=a.info')
    assert_refused(ended, 'a.info', 'bytes')
    sparse('label/a.json', 2 << 30)
    assert_refused(limited('RDN_postprocess.py', *labelled), 'label/a.json', 'bytes')
    sparse('op_summary_1.csv', 2 << 30)
    assert_refused(limited('RDN_profile.py', 'op_summary_1.csv'), 'op_summary_1.csv', 'bytes')
    sparse('transpose.py', 2 << 30)
    assert_refused(limited('patch_transpose_whitelist.py', '--transpose-py=transpose.py'), 'transpose.py', 'bytes')
    sparse('trt.log', 2 << 30)
    assert_refused(limited('test/parse.py', 'trt.log'), 'trt.log')


def sparse(path, size):
    with open(path, 'wb') as file:
        file.truncate(size)


@pytest.mark.slow
def test_a_table_of_millions_of_rows_is_counted_in_little_memory(limited):
    with open('op_summary_1.csv', 'w') as file:
        file.write('Op Name,OP Type,Task Duration(us),Input Shapes\n')
        for _ in range(200):
            file.write('a,Conv2D,2.5,"1,3,114,114"\n' * 1000)
    ended = limited('RDN_profile.py', 'op_summary_1.csv')
    assert ended.status == 0, ended.err
    assert ended.out.splitlines()[1].split() == ['Conv2D', '-', '200000', '500000', '2.5', '2.5', '2.5', '100']


@pytest.mark.parametrize('path', ['../../../../../etc/passwd', '/dev/zero', '/proc/self/environ', '/dev/stdin', '.'])
def test_an_info_file_that_names_other_files_is_refused(limited, narrow, path):
    with open('a.info', 'w') as file:
        file.write(f'0 {path} 114 114\n')
    ended = limited('RDN_infer.py', '-om_path=' + narrow[1], '-batch_size=1', '-input_text_path=a.info')
    assert_refused(ended, path)
    assert [name for name in snapshot('.') if name not in ('a.info', 'result')] == []


# --- pictures


def png_bomb(path, width, height):
    """Write a PNG of black pixels, which is compressed a thousandfold."""

    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

    compressor = zlib.compressobj(9)
    row = bytes(1 + 3 * width)
    data = b''.join(compressor.compress(row) for _ in range(min(height, 2000))) + compressor.flush()
    header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    with open(path, 'wb') as file:
        file.write(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', data) + chunk(b'IEND', b''))


def tiff_bomb(path, width, height):
    """Write a TIFF whose header claims more pixels than the file has."""
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8)]
    tags += [(277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, 4)]
    directory = struct.pack('<H', len(tags)) + b''.join(struct.pack('<HHII', *tag) for tag in tags) + bytes(4)
    with open(path, 'wb') as file:
        file.write(b'II*\x00' + struct.pack('<I', 16) + bytes(8) + directory)


@pytest.mark.slow
@pytest.mark.parametrize('bomb, name', [(png_bomb, 'a.png'), (tiff_bomb, 'a.tif')])
def test_decompression_bombs_are_refused(limited, narrow, bomb, name):
    os.mkdir('in')
    bomb('in/' + name, 60000, 60000)
    assert_refused(limited('RDN_preprocess.py', '--src-path=in', '--save-path=out'), name)
    ended = limited('RDN_upscale.py', '--input', 'in', '--output=out', '--model=' + narrow[1])
    assert ended.status == 1 and name in ended.err and 'Traceback' not in ended.err, ended.err
    assert not os.path.isdir('out') or os.listdir('out') == []
    assert_refused(limited('RDN_train.py', '--train-path=in', '--steps=1'), name)


# --- links


def test_a_result_that_is_a_link_is_refused(tmp_path):
    """/dev/stdout is also a link: root would have replaced it."""
    (tmp_path / 'precious').write_text('old')
    for target in ('precious', 'nowhere'):
        path = str(tmp_path / ('link to ' + target))
        os.symlink(target, path)
        with pytest.raises(OSError, match='symbolic link'), files.atomic_file(path) as file:
            file.write(b'new')
        assert os.readlink(path) == target
    assert (tmp_path / 'precious').read_text() == 'old'


def test_a_device_is_not_replaced_by_a_file(limited, labelled):
    os.mkfifo('result.json')
    assert_refused(limited('RDN_postprocess.py', *labelled), 'result.json', 'not a plain file')
    assert stat.S_ISFIFO(os.stat('result.json').st_mode)


def test_a_link_at_the_temporary_name_is_not_followed(tmp_path, monkeypatch):
    (tmp_path / 'precious').write_text('old')
    for ending in ('', '.lock'):
        os.symlink('precious', str(tmp_path / f'.result.json.{"a" * 8}.partial{ending}'))
        monkeypatch.setattr(secrets, 'token_hex', lambda count: 'a' * 2 * count)  # as if an attacker could predict it
        with contextlib.suppress(OSError), files.atomic_file(str(tmp_path / 'result.json')) as file:
            file.write(b'new')
        assert (tmp_path / 'precious').read_text() == 'old'


def test_an_output_folder_that_is_a_link_is_refused(tmp_path):
    (tmp_path / 'theirs').mkdir()
    (tmp_path / 'theirs' / 'a_1.txt').write_text('old')
    os.symlink('theirs', str(tmp_path / 'dump'))
    with pytest.raises(OSError, match='symbolic link'), files.atomic_folder(str(tmp_path / 'dump'), ['a_1.txt']):
        pass
    assert (tmp_path / 'theirs' / 'a_1.txt').read_text() == 'old'
    assert sorted(os.listdir(str(tmp_path))) == ['dump', 'theirs']


def test_a_huge_deeply_nested_or_malformed_manifest_is_refused(limited):
    os.makedirs('prep/data')
    np.zeros((3, 2, 2), np.float32).tofile('prep/data/a.bin')
    for content in ('[' * 100000, json.dumps({'flags': {}, 'sha256': {'data/a.bin': 7}})):
        with open('prep/manifest.json', 'w') as file:
            file.write(content)
        assert_refused(limited('gen_dataset_info.py', 'bin', 'prep/data', 'a.info', '2', '2'), 'manifest.json')
    sparse('prep/manifest.json', 2 << 30)
    assert_refused(limited('gen_dataset_info.py', 'bin', 'prep/data', 'a.info', '2', '2'), 'manifest.json')
