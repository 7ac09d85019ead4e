#!/usr/bin/env bash
# Acceptance, guide 7.2: measures TensorRT's speed in fp16, on a server with an idle NVIDIA T4.
#
#     bash test/perf_gpu.sh [rdn_x2.onnx [rdn_x2.pth]]
#
# TensorRT 11 has no --fp16. There the script exports the weights in fp16 to rdn_x2_fp16.onnx, and measures this model. The
# default weights are those that run.sh exported, else rdn_x2.pth beside the model.
[ -n "${BASH_VERSION-}" ] || { echo "perf_gpu.sh: needs bash: bash $0" >&2; exit 2; }
set -euo pipefail
case " $* " in *' --help '* | *' -h '*) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$0")/.."
model=${1:-rdn_x2.onnx}

fail() {
    echo "perf_gpu.sh: $1" >&2
    exit 1
}

command -v trtexec >/dev/null || fail 'trtexec is not on PATH: add the bin folder of TensorRT to PATH'
inputs=$(RDN_SCRIPT=perf_gpu.sh python3 -m rdn.acceptance.gpu_inputs "$model")
shape=${inputs%%$'\n'*} weights=${2:-${inputs#*$'\n'}}
precision=(--fp16)
usage=$(trtexec --help 2>&1) || true
if grep -q -e '--onnx' <<<"$usage" && ! grep -Eq '^ *--fp16( |$)' <<<"$usage"; then
    [ -f "$weights" ] || fail "$weights: no such file: TensorRT 11 has no --fp16, so the script exports the model in \
fp16 from its weights; name them: bash test/perf_gpu.sh $model WEIGHTS"
    model=${model%.onnx}_fp16.onnx
    width=${shape##*x} height=${shape%x*}
    python3 RDN_pth2onnx.py --input-file="$weights" --output-file="$model" --half --height="${height##*x}" --width="$width"
    precision=()
fi
trap 'rm -f RDN_bs1.log.partial' EXIT
trtexec --onnx="$model" ${precision[@]+"${precision[@]}"} --shapes="$shape" | tee RDN_bs1.log.partial
mv RDN_bs1.log.partial RDN_bs1.log
python3 test/parse.py RDN_bs1.log
if [ ${#precision[@]} = 0 ]; then
    echo "The log does not say fp16: pass --gpu-precision=strongly-typed to test/accept.py"
fi
