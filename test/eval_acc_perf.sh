#!/usr/bin/env bash
# Acceptance, guide 4 to 7.1, on an Ascend server after test/pth2om.sh: accuracy and speed on Set5.
#
#     bash test/eval_acc_perf.sh --datasets_path=/root/dataset
#
# The images are in set5/ below that path. CHIPS is the number of devices on the card: 4 of a 310.
set -euo pipefail

fail() {
    echo "eval_acc_perf.sh: $1" >&2
    exit 1
}

datasets_path=
for argument in "$@"; do
    case $argument in
        --datasets_path=?*) datasets_path=$(realpath -m "${argument#*=}") ;;
        *) fail "unknown argument $argument: give --datasets_path=FOLDER, which holds set5" ;;
    esac
done
[ -n "$datasets_path" ] || fail 'give --datasets_path=FOLDER, which holds set5'
[ -d "$datasets_path/set5" ] || fail "$datasets_path/set5: no such folder"

cd "$(dirname "$0")/.."
[ -f rdn_x2_bs1.om ] || fail 'no rdn_x2_bs1.om: bash test/pth2om.sh makes it'
# shellcheck source=../env.sh
[ -n "${ASCEND_OPP_PATH-}" ] || source env.sh || true # benchmark itself says what it lacks
benchmark=$(command -v "./benchmark.$(uname -m)" || command -v "benchmark.$(uname -m)") ||
    fail "no benchmark.$(uname -m) here or on PATH: without a device, run.sh walks the same way"

python3 RDN_preprocess.py --src-path="$datasets_path/set5" --save-path=./prep_dataset
python3 gen_dataset_info.py bin ./prep_dataset/data ./RDN_prep_bin.info 114 114
rm -f result/dumpOutput_device0/*_1.txt result/perf_vision_batchsize_1_device_0.* result/*.run.json # of an earlier run
"$benchmark" -model_type=vision -device_id=0 -batch_size=1 -om_path=./rdn_x2_bs1.om \
    -input_text_path=./RDN_prep_bin.info -input_width=114 -input_height=114 -output_binary=False -useDvpp=False
python3 -m rdn.ascend.record result/dumpOutput_device0 result/perf_vision_batchsize_1_device_0.txt \
    --tool benchmark --chip "${SOC_VERSION:-Ascend310}" --model rdn_x2_bs1.om --inputs prep_dataset/data
python3 RDN_postprocess.py --pred-path=./result/dumpOutput_device0 --label-path=./prep_dataset/label \
    --result-path=./result.json --width=114 --height=114 --scale=2

echo '==== accuracy ===='
python3 test/parse.py result.json
echo '==== performance ===='
python3 test/parse.py result/perf_vision_batchsize_1_device_0.txt ${CHIPS:+--chips "$CHIPS"}
