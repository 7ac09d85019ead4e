"""RDN_profile.py prints the guide's table, finding and command from msprof's files of CANN 5 to 8."""

import csv
import io
import time

from rdn.profiling import msprof, whitelist

import onnxruntime
import pytest

from helpers import assert_refused, snapshot
from vendor import vendor_source

STATISTIC_5 = """Model Name,OP Type,Core Type,Count,Total Time(us),Min Time(us),Avg Time(us),Max Time(us),Ratio(%)
rdn_x2_bs1,Cast,AI Core,2,121.6667,59.4792,60.83335,62.1875,0.005757
rdn_x2_bs1,TransData,AI Core,4,935253.6,63.80209,233813.4,934225.7,44.2515
rdn_x2_bs1,TransposeD,AI Core,1,934287.8,934287.8,934287.8,934287.8,44.2058
rdn_x2_bs1,Conv2D,AI Core,150,126733.2,78.2812,844.8882,1563.906,5.996379
rdn_x2_bs1,ConcatD,AI Core,129,117099.7,193.9584,907.7495,1612.917,5.540568
"""
STATISTIC_8 = """\ufeffDevice_id,OP Type,Core Type,Count,Total Time(ms),Min Time(us),Avg Time(us),Max Time(us),Ratio(%),New Column
0,TransposeD,AI_VECTOR_CORE,1,10.141094,10141.094,10141.094,10141.094,3.99,
0,Conv2D,MIX_AIC,150,"126.7332\t",78.2812,844.8882,1563.906,49.8,x
0,ConcatD,AI_VECTOR_CORE,129,117.0997,193.9584,907.7495,1612.917,46.1,N/A
"""
SUMMARY_5 = (
    'Model Name,Model ID,Task ID,Stream ID,Infer ID,Op Name,OP Type,Task Type,Task Start Time,Task Duration(us),'
    'Task Wait Time(us),Block Dim,Mix Block Dim,Input Shapes,Input Data Types,Input Formats,aicore_time(us)\n'
    'rdn_x2_bs1,1,3,5,1,Conv_0,Conv2D,AI Core,1001,844.5,0.1,2,0,"""1,1,114,114,16;9,4,16,16;64""",F,NC1HWC0,8\n'
    'rdn_x2_bs1,1,4,5,1,Transpose_1,TransposeD,AI Core,2001,934287.8,0.2,2,0,"""1,64,2,2,114,114;6""",F,ND,9\n'
    'rdn_x2_bs1,1,5,5,1,Transpose_2,TransposeD,AI Core,2001,10000,0.2,2,0,"""4,8,2,2,9,9;6""",F,ND,9\n'
    'rdn_x2_bs1,1,6,5,1,Transpose_3,TransposeD,AI Core,2001,3.5,0.2,2,0,"""1,3,4;3""",F,ND,9\n'
    'rdn_x2_bs1,1,7,5,1,trans_4,TransData,AI Core,2001,20000.5,0.2,2,0,N/A,N/A,N/A,9\n'
)
SUMMARY_8 = (
    'Device_id,Model ID,Task ID,Stream ID,Op Name,OP Type,OP State,Task Type,Task Start Time(us),Task Duration(us),'
    'Task Wait Time(us),Block Dim,Mix Block Dim,HF32 Eligible,Input Shapes,Input Data Types\r\n'
    '0,1,3,5,Conv_0,Conv2D,static,AI_CORE,"1690000.123\t",844.5,0.1,2,0,NO,"1,3,114,114;64,3,3,3",FLOAT\r\n'
    '0,1,4,5,Transpose_1,TransposeD,static,AI_VECTOR_CORE,"1690000.5\t",934287.8,0.2,2,0,NO,"1,64,2,2,114,114;6",F\r\n'
    '0,1,5,5,event,N/A,N/A,EVENT,"1690009.5\t",N/A,0,0,0,NO,N/A,N/A\r\n'
)


@pytest.fixture
def profiles(tmp_path, monkeypatch):
    """A working folder with a profile of each version."""
    monkeypatch.chdir(tmp_path)
    for name, text in [
        ('five/summary/op_statistic_0_1.csv', STATISTIC_5),
        ('five/summary/op_summary_0_1.csv', SUMMARY_5),
        ('eight/op_statistic_20240101.csv', STATISTIC_8),
        ('eight/op_summary_20240101.csv', SUMMARY_8),
    ]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(text.encode())
    return tmp_path


def table(out):
    return [line.split('  ') for line in out.splitlines()]


def test_the_guides_table_comes_out_sorted_by_time(script, profiles):
    ended = script('RDN_profile', 'five')
    assert ended.status == 0, ended.err
    rows = [line.split() for line in ended.out.splitlines()[1:6]]
    assert rows == [
        ['rdn_x2_bs1', 'TransData', 'AI', 'Core', '4', '935253.6', '63.80209', '233813.4', '934225.7', '44.2515'],
        ['rdn_x2_bs1', 'TransposeD', 'AI', 'Core', '1'] + 4 * ['934287.8'] + ['44.2058'],
        ['rdn_x2_bs1', 'Conv2D', 'AI', 'Core', '150', '126733.2', '78.2812', '844.8882', '1563.906', '5.996379'],
        ['rdn_x2_bs1', 'ConcatD', 'AI', 'Core', '129', '117099.7', '193.9584', '907.7495', '1612.917', '5.540568'],
        ['rdn_x2_bs1', 'Cast', 'AI', 'Core', '2', '121.6667', '59.4792', '60.83335', '62.1875', '0.005757'],
    ]


def test_findings_are_named_with_the_command_to_run(script, profiles):
    out = script('RDN_profile', 'five').out
    assert 'TransData stands out: 44.3 %' in out and 'TransposeD stands out: 44.2 %' in out
    assert 'Conv2D stands out' not in out and 'ConcatD stands out' not in out
    assert '[1, 64, 2, 2, 114, 114]\n' in out and '[4, 8, 2, 2, 9, 9]\n' in out and '[1, 3, 4]' not in out
    assert out.splitlines()[-1].split() == [
        'python3',
        'patch_transpose_whitelist.py',
        '--profile',
        'five/summary/op_summary_0_1.csv',
    ]


def test_without_an_op_summary_file_the_advice_asks_for_it(script, profiles):
    ended = script('RDN_profile', 'five/summary/op_statistic_0_1.csv')
    assert 'TransposeD stands out' in ended.out
    assert ended.out.splitlines()[-1] == (
        'To find out whether its transposes are slow, and for which input shapes, run this again and add the '
        "profile's op_summary_*.csv (or kernel_details.csv)."
    )


def test_the_suggested_command_adds_these_shapes(script, profiles):
    source = vendor_source()
    (profiles / 'transpose.py').write_bytes(source)
    before = [shape for shape in whitelist.shapes_of(source) if shape != [1, 64, 2, 2, 114, 114]]
    for folder in ('five/summary/op_summary_0_1.csv', 'eight/op_summary_20240101.csv'):
        ended = script('patch_transpose_whitelist', '--transpose-py=transpose.py', '--profile', folder)
        assert ended.status == 0, ended.err
    after = whitelist.shapes_of((profiles / 'transpose.py').read_bytes())
    assert after == before + [[1, 64, 2, 2, 114, 114], [4, 8, 2, 2, 9, 9]]


def test_a_profile_without_a_slow_transpose_adds_nothing(script, profiles):
    (profiles / 'transpose.py').write_bytes(vendor_source())
    (profiles / 'op_summary_fast.csv').write_text(SUMMARY_5.replace('TransposeD', 'Relu'))
    ended = script('patch_transpose_whitelist', '--transpose-py=transpose.py', '--profile=op_summary_fast.csv')
    assert_refused(ended, 'op_summary_fast.csv', 'TransposeD')
    assert (profiles / 'transpose.py').read_bytes() == vendor_source()


def test_later_versions_name_no_model_and_other_units(script, profiles):
    ended = script('RDN_profile', 'eight/op_statistic_20240101.csv')
    assert ended.status == 0, ended.err
    lines = ended.out.splitlines()
    assert lines[0].startswith('OP Type')
    assert lines[1].split() == ['Conv2D', 'MIX_AIC', '150', '126733.2', '78.2812', '844.8882', '1563.906', '49.8']
    assert 'ConcatD stands out: 46.1 %' in ended.out and 'patch_transpose' not in ended.out


def test_a_summary_alone_is_counted(script, profiles):
    (profiles / 'eight' / 'op_statistic_20240101.csv').unlink()
    ended = script('RDN_profile', 'eight')
    assert ended.status == 0, ended.err
    assert ended.out.splitlines()[1].split()[:4] == ['TransposeD', 'AI_VECTOR_CORE', '1', '934287.8']
    total = 934287.8 + 844.5
    assert float(ended.out.splitlines()[1].split()[-1]) == pytest.approx(100 * 934287.8 / total, rel=1e-6)
    assert '[1, 64, 2, 2, 114, 114]' in ended.out


def test_before_and_after_are_shown_side_by_side(script, profiles):
    ended = script('RDN_profile', 'five', '--after', 'eight/op_statistic_20240101.csv')
    assert ended.status == 0, ended.err
    rows = {line.split()[0]: line.split()[1:] for line in ended.out.splitlines() if len(line.split()) == 4}
    assert rows['TransposeD'] == ['934287.8', '10141.09', '92.13']  # the guide's two figures
    assert rows['TransData'] == ['935253.6', '-', '-']
    assert rows['Conv2D'][-1] == '1.00'
    assert float(rows['all'][-1]) == pytest.approx(2113496 / 253974, abs=0.01)


def test_the_speed_up_is_per_run_for_any_number_of_runs(script, profiles):
    thrice = [line.split(',') for line in STATISTIC_5.splitlines()]
    for cells in thrice[1:]:
        cells[3:5] = [str(3 * int(cells[3])), str(3 * float(cells[4]))]
    (profiles / 'thrice.csv').write_text('\n'.join(map(','.join, thrice)) + '\n')
    ended = script('RDN_profile', 'five', '--after', 'thrice.csv')
    assert [line.split()[-1] for line in ended.out.splitlines()[1:7]] == ['1.00'] * 6
    assert '3 times as many runs' in ended.out


def test_there_is_no_finding_if_convolutions_take_the_time(script, profiles):
    (profiles / 'op_statistic_1.csv').write_text('OP Type,Count,Total Time(us)\nConv2D,150,100\nConcatD,2,20\n')
    ended = script('RDN_profile', 'op_statistic_1.csv')
    assert ended.status == 0 and 'Nothing stands out' in ended.out
    assert ended.out.splitlines()[1].split() == ['Conv2D', '-', '150', '100', '-', '0.6666667', '-', '83.33333']


@pytest.mark.parametrize(
    'content, words',
    [
        ('', ['columns']),
        ('a,b\n1,2\n', ['columns']),
        ('OP Type,Count,Total Time(us)\n', ['took any time']),
        ('OP Type,Count,Total Time(us)\nConv2D,1\n', ['line 2', 'truncated']),
        ('OP Type,Count,Total Time(us)\nConv2D,one,2\n', ['line 2', "'one'"]),
        ('OP Type,Count,Total Time(us)\nConv2D,1,nan\n', ['line 2', "'nan'"]),
        ('OP Type,Count,Total Time(us)\nConv2D,1,-5\n', ['line 2', "'-5'"]),
        ('Count,Total Time(us)\n1,2\n', ['optype']),
        ('OP Type,Count,Total Time(us)\n"Conv2D,1,' + 'x' * 200000, ['truncated']),
        ('OP Type,Count,Total Time(us)\n"Conv2D,1,' + 'x' * 200000 + '\n', ['not a CSV']),
        ('OP Type,Count,Total Time(us)\nConv2D\0,1,2\n', ['not a CSV']),
    ],
)
def test_a_file_of_another_kind_is_named(script, profiles, content, words):
    (profiles / 'op_statistic_bad.csv').write_text(content)
    assert_refused(script('RDN_profile', 'op_statistic_bad.csv'), 'op_statistic_bad.csv', *words)


def test_folders_without_a_profile_or_with_several_are_refused(script, profiles):
    (profiles / 'empty').mkdir()
    assert_refused(script('RDN_profile', 'empty'), 'empty', 'op_statistic')
    assert_refused(script('RDN_profile', '.'), '--after')
    assert_refused(script('RDN_profile', 'gone.csv'), 'gone.csv')


def test_without_a_device_infer_writes_the_same_files(script, dataset, narrow):
    ended = script('RDN_infer', '-om_path=' + narrow[1], '-batch_size=1', '-round=3', '-profiling=prof')
    assert ended.status == 0, ended.err
    rows = {row.op_type: row for row in msprof.read_statistics(['prof/op_statistic_0_1.csv'])}
    runs = 4  # three, and a warm-up
    assert rows['Transpose'].calls == runs and rows['Conv'].calls == 8 * runs and rows['Conv'].model == 'narrow'
    tasks = list(msprof.read_tasks('prof/op_summary_0_1.csv'))
    again = {row.op_type: row for row in msprof.statistics_of(tasks)}
    assert {key: row[3:8] for key, row in rows.items()} == {
        key: tuple(float(f'{value:.7g}') for value in row[3:8]) for key, row in again.items()
    }
    with open('prof/op_summary_0_1.csv') as file:
        starts = [float(row['Task Start Time']) for row in csv.DictReader(file)]
    assert starts == sorted(starts)
    if tuple(map(int, onnxruntime.__version__.split('.')[:2])) >= (1, 12):  # earlier ones trace no shapes
        assert [task.shapes for task in tasks if task.op_type == 'Transpose'] == [[[1, 8, 2, 2, 114, 114]]] * runs
    assert script('RDN_profile', 'prof').status == 0
    assert sorted(snapshot('prof')) == ['op_statistic_0_1.csv', 'op_summary_0_1.csv']


def test_a_profile_of_a_dataset_run_leaves_the_outputs_as_they_are(script, dataset, narrow):
    flags = ['-om_path=' + narrow[1], '-batch_size=2', '-input_text_path=RDN_prep_bin.info', '-output_binary=True']
    assert script('RDN_infer', *flags).status == 0
    plain = snapshot('result/dumpOutput_device0')
    ended = script('RDN_infer', *(flags + ['-profiling=prof']))
    assert ended.status == 0, ended.err
    assert snapshot('result/dumpOutput_device0') == plain
    assert 'prof/op_statistic_0_1.csv' in ended.out


def test_written_tables_read_back():
    tasks = [
        msprof.Task('m', 'a, "b"', 'Conv2D', 'AI Core', 12.5, [[1, 2], [3]], start=10),
        msprof.Task('m', 'c', 'Cast', 'AI Core', 2.0, None, start=30),
    ]
    text = msprof.format_tasks(tasks)
    assert next(csv.DictReader(io.StringIO(text)))['Input Shapes'] == '"1,2;3"'
    assert [row['Task Wait Time(us)'] for row in csv.DictReader(io.StringIO(text))] == ['0', '7.5']


@pytest.mark.parametrize('name', ['five/summary/op_summary_0_1.csv', 'five/summary/op_statistic_0_1.csv'])
def test_a_table_truncated_inside_a_row_is_refused(script, profiles, name):
    """A truncated number or missing operators would make a wrong profile."""
    path = profiles / name
    content = path.read_bytes()
    for end in range(content.index(b'\n') + 1, len(content), 7):
        path.write_bytes(content[:end])
        if not content[:end].endswith(b'\n'):
            assert_refused(script('RDN_profile', name), name, 'truncated')


def test_slices_and_iterations_of_one_profile_are_joined(script, profiles):
    header, *rows = SUMMARY_8.splitlines(True)
    for number, row in enumerate(rows):
        (profiles / 'eight' / f'op_summary_slice_{number}_20240101120000.csv').write_bytes((header + row).encode())
    for name in ('op_summary_20240101.csv', 'op_statistic_20240101.csv'):
        (profiles / 'eight' / name).unlink()
    ended = script('RDN_profile', 'eight')
    assert ended.status == 0 and '[1, 64, 2, 2, 114, 114]' in ended.out, ended.err
    (profiles / 'five/summary/op_statistic_0_2.csv').write_text(STATISTIC_5)
    (profiles / 'five/summary/op_summary_0_2.csv').write_text(SUMMARY_5)
    ended = script('RDN_profile', 'five')
    assert ended.status == 0, ended.err
    transpose = next(line for line in ended.out.splitlines() if ' TransposeD ' in line).split()
    assert transpose[4:8] == ['2', '1868576', '934287.8', '934287.8']  # calls, total, least, average


FAST = SUMMARY_8.replace('934287.8', '10141.094').replace('844.5', '4000')  # the guide's TransposeD after the fix


def test_white_listing_is_not_advised_for_a_fast_transpose(script, profiles):
    (profiles / 'op_summary_fast.csv').write_bytes(FAST.encode())
    ended = script('RDN_profile', 'op_summary_fast.csv')
    assert ended.status == 0 and 'TransposeD stands out: 71.7 %' in ended.out and 'fast operator' in ended.out
    assert 'patch_transpose' not in ended.out
    (profiles / 'transpose.py').write_bytes(vendor_source())
    ended = script('patch_transpose_whitelist', '--transpose-py=transpose.py', '--profile=op_summary_fast.csv')
    assert_refused(ended, 'op_summary_fast.csv', 'no slow TransposeD')


def test_the_advice_says_since_which_toolkit_the_white_list_is_useless(script, profiles):
    out = script('RDN_profile', 'five').out
    assert 'From about CANN 5.1 on' in out and '--upsample=deconv' in out


@pytest.mark.parametrize('op_type, words', [('TransData', 'layout'), ('Cast', 'fp16'), ('DepthToSpace', '--opset 9')])
def test_operators_that_only_move_data_are_explained(script, profiles, op_type, words):
    (profiles / 'op_statistic_1.csv').write_text(f'OP Type,Count,Total Time(us)\nConv2D,150,100\n{op_type},2,60\n')
    out = script('RDN_profile', 'op_statistic_1.csv').out
    assert f'{op_type} stands out: 37.5 %' in out and words in out.splitlines()[-1]


@pytest.mark.parametrize('layout', ['device_0/summary', 'mindstudio_profiler_output'])
def test_the_newest_of_several_profiles_is_used_and_named(script, profiles, layout):
    """The time in the name decides, because the numbers before it start again."""
    for name, text in (('PROF_000002_20240101120000123_ABC', SUMMARY_8), ('PROF_000001_20240301120000123_XYZ', FAST)):
        folder = profiles / 'out' / name / layout
        folder.mkdir(parents=True)
        (folder / 'op_summary_20240101120000.csv').write_bytes(text.encode())
    ended = script('RDN_profile', 'out')
    assert ended.status == 0 and 'the newest of its profiles, out/PROF_000001_20240301120000123_XYZ' in ended.out
    assert '10141.09' in ended.out and '934287.8' not in ended.out
    assert '934287.8' in script('RDN_profile', 'out/PROF_000002_20240101120000123_ABC').out


@pytest.mark.parametrize(
    'names',
    [
        ('op_summary_slice_0_20240101120000.csv', 'op_summary_slice_1_20240101120000.csv'),
        ('op_summary_20240101120000.csv', 'op_summary_slice_1_20240101120000.csv'),
        (
            'op_summary_slice_0_20240101120000_rdn_x2_bs1_ABCD.csv',
            'op_summary_slice_1_20240101120000_rdn_x2_bs1_ABCD.csv',
        ),
        ('op_summary_0_1_1_rdn_x2_bs1_ABCD.csv', 'op_summary_0_1_2_rdn_x2_bs1_ABCD.csv'),
    ],
)
def test_slices_are_joined_under_the_names_of_msprof_and_of_ais_bench(script, profiles, names):
    header, *rows = SUMMARY_8.splitlines(True)
    (profiles / 'sliced').mkdir()
    for name, part in zip(names, (rows[:1], rows[1:])):
        (profiles / 'sliced' / name).write_bytes((header + ''.join(part)).encode())
    ended = script('RDN_profile', 'sliced')
    assert ended.status == 0 and '934287.8' in ended.out and '844.5' in ended.out, ended.err


@pytest.mark.parametrize('name', ['op_summary_20240101120001.csv', 'op_summary_20240101120000_other_ABCD.csv'])
def test_other_names_are_another_profile(script, profiles, name):
    for each in ('op_summary_20240101120000.csv', name):
        (profiles / 'eight' / each).write_bytes(SUMMARY_8.encode())
    (profiles / 'eight' / 'op_summary_20240101.csv').unlink()
    assert_refused(script('RDN_profile', 'eight'), 'two profiles')


def test_block_num_is_accepted_for_block_dim(script, profiles):
    (profiles / 'op_summary_new.csv').write_bytes(SUMMARY_8.replace('Block Dim', 'Block Num').encode())
    assert '934287.8' in script('RDN_profile', 'op_summary_new.csv').out


def test_profiles_of_two_models_are_not_compared(script, profiles):
    compact = 'OP Type,Count,Total Time(us)\nConv2D,36,1000\nConcatD,25,300\n'
    (profiles / 'compact.csv').write_text(compact)
    assert_refused(script('RDN_profile', 'five', '--after', 'compact.csv'), 'different models', '150', '36')
    deconv = STATISTIC_5.replace('TransposeD', 'Conv2DBackpropInput')  # exported with --upsample=deconv
    (profiles / 'deconv.csv').write_text(deconv)
    assert script('RDN_profile', 'five', '--after', 'deconv.csv').status == 0


def test_a_cell_of_shapes_of_any_length_is_read_quickly(profiles):
    """A regular expression took minutes for 120 kB that end with another character."""
    for cell in ('1,' * 60000 + '-1', '9' * 60000, ' ' * 60000 + 'x'):
        text = msprof.format_tasks([msprof.Task('m', 'n', 'TransposeD', 'c', 1.0, None)]).replace('N/A', f'"{cell}"')
        started = time.process_time()
        with open('cell.csv', 'w') as file:
            file.write(text)
        try:
            list(msprof.read_tasks('cell.csv'))
        except ValueError as error:
            assert 'cell.csv' in str(error)
        assert time.process_time() - started < 5


# torch_npu's tables: numbers end with tabs, and the columns have other names.
KERNEL_DETAILS = [
    'Device_id,Model ID,Task ID,Stream ID,Name,Type,OP State,Accelerator Core,Start Time(us),Duration(us),Wait Time(us),Block Num,Mix Block Num,HF32 Eligible,Input Shapes,Input Data Types,Input Formats,Output Shapes,Output Data Types,Output Formats,Context ID\n',
    '0,4294967295,1,1,aclnnPermute_Transpose,Transpose,dynamic,AI_VECTOR_CORE,100.0\t,1153.87,0,20,0,NO,"""1,64,2,2,114,114;6""",FLOAT16;INT64,ND;ND,"""1,64,114,2,114,2""",FLOAT16,ND,N/A\n',
    '0,4294967295,2,1,aclnnConvolution_Conv2D,Conv2D,dynamic,AI_CORE,1300.0\t,151.0,0,20,0,NO,"""1,64,114,114;64,64,3,3""",FLOAT16;FLOAT16,NCHW;NCHW,"""1,64,114,114""",FLOAT16,NCHW,N/A\n',
]
TWO_DEVICES = """Device_id,OP Type,Core Type,Count,Total Time(us),Min Time(us),Avg Time(us),Max Time(us),Ratio(%)
0,Conv2D,AI_CORE,100,6500,60,65,70,65.0
0,TransposeD,AI_VECTOR_CORE,20,3500,170,175,180,35.0
1,Conv2D,AI_CORE,100,6500,60,65,70,65.0
1,TransposeD,AI_VECTOR_CORE,20,3500,170,175,180,35.0
"""


@pytest.fixture
def pytorch(profiles):
    """A folder in torch_npu's form: its own tables, and msprof's tables, from which it makes them."""
    folder = profiles / 'log' / 'host_4711_20260101120000123_ascend_pt'
    (folder / 'ASCEND_PROFILER_OUTPUT').mkdir(parents=True)
    (folder / 'ASCEND_PROFILER_OUTPUT' / 'kernel_details.csv').write_text(''.join(KERNEL_DETAILS))
    (folder / 'ASCEND_PROFILER_OUTPUT' / 'operator_details.csv').write_text('Name,Input Shapes\naten::add,\n')
    raw = folder / 'PROF_000001_20260101120000456_ABC' / 'mindstudio_profiler_output'
    raw.mkdir(parents=True)
    (raw / 'op_summary_20260101120000.csv').write_bytes(SUMMARY_8.encode())
    return folder


def test_kernel_details_of_torch_npu_is_read(script, pytorch):
    ended = script('RDN_profile', pytorch / 'ASCEND_PROFILER_OUTPUT' / 'kernel_details.csv')
    assert ended.status == 0, ended.err
    rows = [line.split() for line in ended.out.splitlines()]
    assert rows[1] == ['Transpose', 'AI_VECTOR_CORE', '1'] + 4 * ['1153.87'] + ['88.42797']
    assert rows[2] == ['Conv2D', 'AI_CORE', '1'] + 4 * ['151'] + ['11.57203']
    tasks = list(msprof.read_tasks(pytorch / 'ASCEND_PROFILER_OUTPUT' / 'kernel_details.csv'))
    assert [task.name for task in tasks] == ['aclnnPermute_Transpose', 'aclnnConvolution_Conv2D']
    assert tasks[0].shapes == [[1, 64, 2, 2, 114, 114], [6]] and tasks[0].device == '0'


def test_a_slow_transpose_of_torch_npu_is_found_in_its_folder(script, pytorch):
    path = pytorch / 'ASCEND_PROFILER_OUTPUT' / 'kernel_details.csv'
    path.write_text(path.read_text().replace('1153.87', '115387.0\t'))
    for folder in ('log', pytorch, pytorch / 'ASCEND_PROFILER_OUTPUT'):
        ended = script('RDN_profile', folder)
        assert ended.status == 0, ended.err
        assert '115387' in ended.out and '934287.8' not in ended.out  # msprof's own table is not counted as well
        assert '[1, 64, 2, 2, 114, 114]' in ended.out


def test_op_statistic_and_kernel_details_of_torch_npu_are_read_together(script, pytorch):
    (pytorch / 'ASCEND_PROFILER_OUTPUT' / 'op_statistic.csv').write_text(TWO_DEVICES[: TWO_DEVICES.index('1,Conv2D')])
    ended = script('RDN_profile', 'log')
    assert ended.status == 0, ended.err
    assert ended.out.splitlines()[1].split() == ['Conv2D', 'AI_CORE', '100', '6500', '60', '65', '70', '65']
    assert 'TransposeD stands out: 35.0 %' in ended.out


def test_the_newest_of_several_torch_npu_profiles_is_used(script, pytorch):
    later = pytorch.parent / 'host_1_20260201120000123_ascend_pt' / 'ASCEND_PROFILER_OUTPUT'
    later.mkdir(parents=True)
    (later / 'kernel_details.csv').write_text(''.join(KERNEL_DETAILS).replace('1153.87', '777'))
    ended = script('RDN_profile', 'log')
    assert 'the newest of its profiles, log/host_1_20260201120000123_ascend_pt' in ended.out and ' 777 ' in ended.out


def test_kernel_details_without_operator_types_says_how_to_get_them(script, profiles):
    """torch_npu writes such a file at ProfilerLevel.Level0."""
    text = 'Device_id,Name,Type,Accelerator Core,Start Time(us),Duration(us),Wait Time(us),Block Dim\n'
    text += '0,aclnnMatmul_MatMulCommon_MatMulV2,N/A,N/A,1774670741777000.0\t,420.50\t,0.02\t,8\n'
    (profiles / 'kernel_details.csv').write_text(text)
    assert_refused(script('RDN_profile', 'kernel_details.csv'), 'kernel_details.csv', 'ProfilerLevel.Level1')
    (profiles / 'kernel_details.csv').write_text('Name,Duration(us)\nadd,1\n')
    assert_refused(script('RDN_profile', 'kernel_details.csv'), 'kernel_details.csv', 'optype')


def test_with_several_devices_each_row_names_its_device(script, profiles):
    (profiles / 'op_statistic_2.csv').write_text(TWO_DEVICES)
    ended = script('RDN_profile', 'op_statistic_2.csv')
    assert ended.status == 0, ended.err
    header, *rows = (line.split() for line in ended.out.splitlines()[:5])
    assert header[-1] == 'Device'
    assert [(row[0], row[3], row[-2], row[-1]) for row in rows] == [
        ('Conv2D', '6500', '65', '0'),
        ('Conv2D', '6500', '65', '1'),
        ('TransposeD', '3500', '35', '0'),
        ('TransposeD', '3500', '35', '1'),
    ]
    assert 'TransposeD stands out: 35.0 %' in ended.out


def test_devices_in_one_table_of_tasks_are_kept_apart(script, profiles):
    first = ''.join(KERNEL_DETAILS)
    second = ''.join(line.replace('0,', '1,', 1) for line in KERNEL_DETAILS[1:]).replace('1153.87', '453')
    (profiles / 'kernel_details.csv').write_text(first + second)
    ended = script('RDN_profile', 'kernel_details.csv')
    rows = [line.split() for line in ended.out.splitlines()[1:5]]
    assert [(row[0], row[3], row[-2], row[-1]) for row in rows] == [
        ('Transpose', '1153.87', '88.42797', '0'),
        ('Transpose', '453', '75', '1'),
        ('Conv2D', '151', '11.57203', '0'),
        ('Conv2D', '151', '25', '1'),
    ]
