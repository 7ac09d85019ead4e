#!/usr/bin/env bash
# Acceptance, guide 3.1 and 3.2: converts weights to rdn_x2.onnx and to rdn_x2_bs1.om, or one .om for each batch size.
#
#     bash test/pth2om.sh [rdn_x2.pth] [--batch-size 1,4,8] [--soc-version Ascend310P3]
#
# run.sh --help explains the flags.
[ -n "${BASH_VERSION-}" ] || { echo "pth2om.sh: needs bash: bash $0" >&2; exit 2; }
set -euo pipefail
case " $* " in *' --help '* | *' -h '*) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$0")/.."
weights=rdn_x2.pth
if [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; then
    weights=$1
    shift
fi
# shellcheck source=../env.sh
command -v atc >/dev/null || source env.sh 2>/dev/null || true # rdn.walk reports what is missing
RDN_SCRIPT=pth2om.sh exec python3 -m rdn.walk --steps=convert --weights="$weights" "$@"
