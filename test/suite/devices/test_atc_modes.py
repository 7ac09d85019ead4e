"""The precision modes of an installed atc, read from its help, in the forms of several versions."""

from rdn.devices import atc_modes

import pytest

FIRST = """usage: ./atc <args>
  --output_type       Set net output type. Support FP32, FP16, UINT8.E.g.: FP16, means all out nodes set datatype FP16.
  --op_select_implmode    Set op select implmode. Support high_precision, high_performance.default: high_performance
disable
  --optypelist_for_implmode    Appoint which op to use op_select_implmode, used with op_select_implmode .
  --soc_version       The soc version. E.g.: "Ascend310"
"""
CANN5 = """[Operator Tuning]
  --precision_mode        precision mode, support force_fp16(default), allow_mix_precision, allow_fp32_to_fp16, must_keep_origin_dtype.
  --keep_dtype            Retains the precision of certain operators in inference scenarios by using a configuration file.
  --auto_tune_mode        Set tune mode. E.g.: "GA,RL", support configure multiple, spit by ,
  --op_select_implmode    Set op select implmode. Support high_precision, high_performance. default: high_performance
  --optypelist_for_implmode    Appoint which op to select implmode, cooperated with op_select_implmode.
                               Separate multiple nodes with commas (,). E.g.: "node_name1,node_name2"
"""
CANN8 = """
[Operator Tuning]
  --op_precision_mode     Set the path of operator precision mode configuration file (.ini)
  --allow_hf32            enable hf32. false: disable; true: enable. (not support, reserved)
  --precision_mode        precision mode, support force_fp16(default), force_fp32, cube_fp16in_fp32out, allow_mix_precision, allow_fp32_to_fp16, must_keep_origin_dtype, allow_mix_precision_fp16, allow_mix_precision_bf16, allow_fp32_to_bf16.
  --precision_mode_v2     precision mode v2, support fp16(default), origin, cube_fp16in_fp32out, mixed_float16, mixed_bfloat16, cube_hif8, mixed_hif8.
  --modify_mixlist        Set the path of operator mixed precision configuration file.
  --op_select_implmode    Set op select implmode. Support high_precision, high_performance, high_precision_for_all, high_performance_for_all. default: high_performance
  --optypelist_for_implmode    Appoint which op to select implmode, cooperated with op_select_implmode.

[Debug]
  --op_debug_level        Debug enable for TBE operator building.
"""
IMPLEMENTATIONS = [f'op_select_implmode={name}' for name in ('high_precision',)]
ALL = [f'op_select_implmode={name}' for name in ('high_precision_for_all', 'high_performance_for_all')]


def titles(text):
    return [mode.title for mode in atc_modes.read(text)]


def test_the_default_mode_comes_first_and_needs_no_flag():
    first = atc_modes.read(CANN5)[0]
    assert (first.title, first.name, list(first.flags)) == ('default (force_fp16)', 'default', [])


@pytest.mark.parametrize(
    'text, expected',
    [
        (FIRST, IMPLEMENTATIONS),
        (
            CANN5,
            [
                'precision_mode=allow_mix_precision',
                'precision_mode=allow_fp32_to_fp16',
                'precision_mode=must_keep_origin_dtype',
                *IMPLEMENTATIONS,
            ],
        ),
        (
            CANN8,
            [
                *(
                    f'precision_mode_v2={name}'
                    for name in ('origin', 'cube_fp16in_fp32out', 'mixed_float16', 'mixed_bfloat16')
                ),
                'precision_mode_v2=cube_hif8',
                'precision_mode_v2=mixed_hif8',
                *(f'precision_mode={name}' for name in ('force_fp32', 'allow_fp32_to_fp16', 'allow_fp32_to_bf16')),
                *IMPLEMENTATIONS,
                *ALL,
            ],
        ),
    ],
)
def test_each_mode_is_read_once_from_the_help_of_any_version(text, expected):
    assert titles(text)[1:] == expected
    assert all(list(mode.flags) == [f'--{mode.title}'] for mode in atc_modes.read(text)[1:])


def test_a_help_in_narrow_lines_says_the_same():
    narrow = CANN8.replace(', ', ',\n                          ')
    assert titles(narrow) == titles(CANN8)


def test_the_help_of_all_flags_says_the_same():
    full = """    -precision_mode (Optional; precision mode.Support force_fp16,
      allow_mix_precision, must_keep_origin_dtype.) type: string
      default: "force_fp16"
    -save_original_model (Optional; enable output original offline model.
      false(default)) type: string default: ""
"""
    assert titles(full) == [
        'default (force_fp16)',
        'precision_mode=allow_mix_precision',
        'precision_mode=must_keep_origin_dtype',
    ]


@pytest.mark.parametrize('text', ['', 'atc: command not found', '  --precision_mode   see the manual\n'])
def test_without_names_in_the_help_only_the_default_mode_is_known(text):
    assert titles(text) == ['default']


def test_the_values_of_one_flag_are_not_taken_for_those_of_another():
    assert atc_modes.values_of(CANN8, 'precision_mode').names[0] == 'force_fp16'
    assert atc_modes.values_of(CANN8, 'precision_mode_v2') == atc_modes.Values(
        ['fp16', 'origin', 'cube_fp16in_fp32out', 'mixed_float16', 'mixed_bfloat16', 'cube_hif8', 'mixed_hif8'], 'fp16'
    )
    assert atc_modes.values_of(CANN5, 'precision_mode_v2').names == []
