#!/usr/bin/env bash
# The whole guide in one command, on whatever machine it is:
#
#     bash run.sh [--weights FILE] [--dataset FOLDER] [--soc-version NAME]
#
# --weights      default: rdn_x2.pth in this folder or weights/, else the compact weights/rdn_x2_lite.pth
# --dataset      folder of images, 228 x 228 pixels at least; default: /root/dataset/set5 where it is,
#                else five photographs that scikit-image ships
# --soc-version  of the device, for atc; default Ascend310
#
# Where atc and benchmark are installed, it converts the model and runs it on the device; elsewhere
# RDN_infer.py does benchmark's job. The first run makes .venv and installs requirements.txt into it.
# PYTHON names another Python than python3; RDN_VENV another environment, which is used as it is.
set -euo pipefail

fail() {
    echo "run.sh: $1" >&2
    exit 1
}

# Shows a command so that it can be copied, and runs it.
step() {
    local word line=
    for word in "$@"; do
        case $word in
            *[!A-Za-z0-9_./=:,@%+-]*) line="$line ${word@Q}" ;;
            *) line="$line $word" ;;
        esac
    done
    printf '\n$%s\n' "$line"
    "$@"
}

absolute() { case $1 in /*) printf '%s\n' "$1" ;; *) printf '%s/%s\n' "$PWD" "$1" ;; esac; }

weights='' dataset='' soc=Ascend310
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0"; exit 0 ;;
        --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
        --weights | --dataset | --soc-version)
            [ $# -ge 2 ] && [ -n "$2" ] || fail "$1 needs a value (see --help)"
            case $1 in
                --weights) weights=$(absolute "$2") ;;
                --dataset) dataset=$(absolute "$2") ;;
                *) soc=$2 ;;
            esac
            shift 2
            ;;
        *) fail "unknown argument $1 (see --help)" ;;
    esac
done
[ -z "$weights" ] || [ -f "$weights" ] || fail "$weights: no such file"
[ -z "$dataset" ] || [ -d "$dataset" ] || fail "$dataset: no such folder"

cd "$(dirname "$0")"
if [ -n "${RDN_VENV-}" ]; then
    # shellcheck disable=SC1091
    . "$RDN_VENV/bin/activate"
else
    # shellcheck source=setup_venv.sh
    . ./setup_venv.sh
    setup_venv .venv requirements.txt "${PYTHON-}"
fi
echo "Commands below are run in $PWD, after: source $(dirname "$(command -v python3)")/activate"

# On an Ascend server the toolkit may be installed but its environment not set.
# shellcheck source=env.sh
command -v atc >/dev/null || { set -- && . ./env.sh >/dev/null 2>&1; } || true
benchmark=$(command -v "./benchmark.$(uname -m)" || command -v "benchmark.$(uname -m)" || true)

if [ -z "$weights" ]; then
    for weights in rdn_x2.pth weights/rdn_x2.pth weights/rdn_x2_lite.pth; do [ -f "$weights" ] && break; done
fi
step python3 RDN_pth2onnx.py --input-file="$weights" --output-file=rdn_x2.onnx --scale=2

if [ -n "$benchmark" ] && command -v atc >/dev/null; then
    where="$benchmark on an Ascend device"
    step atc --framework=5 --model=rdn_x2.onnx --output=rdn_x2_bs1 --input_format=NCHW \
        --input_shape=image:1,3,114,114 --log=error --soc_version="$soc"
else
    benchmark='' where='RDN_infer.py with ONNX Runtime (no atc and benchmark here)'
fi

if [ -z "$dataset" ] && [ -d /root/dataset/set5 ]; then
    dataset=/root/dataset/set5
elif [ -z "$dataset" ]; then
    dataset=./sample_images
    step python3 sample_images.py "$dataset"
fi
step python3 RDN_preprocess.py --src-path="$dataset" --save-path=./prep_dataset
step python3 gen_dataset_info.py bin ./prep_dataset/data ./RDN_prep_bin.info 114 114

flags=(-model_type=vision -device_id=0 -batch_size=1 -input_text_path=./RDN_prep_bin.info
    -input_width=114 -input_height=114 -output_binary=False -useDvpp=False)
if [ -n "$benchmark" ]; then
    # Those of an earlier walk: benchmark leaves outputs there, and a figure if it fails.
    rm -f result/dumpOutput_device0/*_1.txt result/perf_vision_batchsize_1_device_0.* result/*.run.json
    step "$benchmark" "${flags[@]}" -om_path=./rdn_x2_bs1.om
    python3 -m rdn.ascend.record result/dumpOutput_device0 result/perf_vision_batchsize_1_device_0.txt \
        --tool benchmark --chip "$soc" --model rdn_x2_bs1.om --inputs prep_dataset/data
else
    step python3 RDN_infer.py "${flags[@]}" -om_path=./rdn_x2_bs1.onnx
fi

rm -f result/images/*_x2.png result/images/*_sheet.png
step python3 RDN_postprocess.py --pred-path=./result/dumpOutput_device0 --label-path=./prep_dataset/label \
    --result-path=./result.json --width=114 --height=114 --scale=2 --save-images=./result/images
step python3 test/parse.py result/perf_vision_batchsize_1_device_0.txt

cat <<END

inference  $where
accuracy   result.json; the table of PSNR is above
speed      result/perf_vision_batchsize_1_device_0.txt; images/s (fps) are above
pictures   result/images/*_sheet.png: bicubic | RDN | original
END
