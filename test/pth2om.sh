#!/usr/bin/env bash
# Acceptance, guide 3.1 and 3.2: weights -> rdn_x2.onnx -> rdn_x2_bs1.om.
#
#     bash test/pth2om.sh [rdn_x2.pth]
set -euo pipefail
cd "$(dirname "$0")/.."
weights=${1:-rdn_x2.pth}

python3 RDN_pth2onnx.py --input-file="$weights" --output-file=rdn_x2.onnx --scale=2
# shellcheck source=../env.sh
command -v atc >/dev/null || source env.sh
rm -f rdn_x2_bs1.om # so that one of an earlier conversion is not taken for the new one
atc --framework=5 --model=rdn_x2.onnx --output=rdn_x2_bs1 --input_format=NCHW \
    --input_shape="image:1,3,114,114" --log=error --soc_version="${SOC_VERSION:-Ascend310}"
if [ ! -f rdn_x2_bs1.om ]; then
    echo 'pth2om.sh: atc wrote no rdn_x2_bs1.om: its messages are above' >&2
    exit 1
fi
echo 'rdn_x2_bs1.om is ready'
