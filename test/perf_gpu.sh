#!/usr/bin/env bash
# Acceptance, guide 7.2, on a server with an NVIDIA T4 that runs nothing else: TensorRT's speed in fp16.
#
#     bash test/perf_gpu.sh [rdn_x2.onnx]
[ -n "${BASH_VERSION-}" ] || { echo "perf_gpu.sh: needs bash: bash $0" >&2; exit 2; }
set -euo pipefail
case " $* " in *' --help '* | *' -h '*) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$0")/.."
model=${1:-rdn_x2.onnx}

if ! command -v trtexec >/dev/null; then
    echo 'perf_gpu.sh: no trtexec on PATH: it comes with TensorRT, in its bin folder' >&2
    exit 1
fi
trap 'rm -f RDN_bs1.log.partial' EXIT
trtexec --onnx="$model" --fp16 --shapes=image:1x3x114x114 | tee RDN_bs1.log.partial
mv RDN_bs1.log.partial RDN_bs1.log
python3 test/parse.py RDN_bs1.log
