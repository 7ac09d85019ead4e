#!/usr/bin/env bash
# Acceptance, guide 4 to 7.1: measures accuracy and speed on Set5, on an Ascend server, after test/pth2om.sh.
#
#     bash test/eval_acc_perf.sh --datasets_path=/root/dataset [--weights=FILE] [--batch-size 1,4,8] [--with ais_bench]
#
# The images must be in the folder set5 below that path. The verdict compares the outputs with PyTorch's, for the weights
# that --weights names, or else those that the model was made from. run.sh --help explains the other flags, CHIPS and
# AIS_BENCH.
[ -n "${BASH_VERSION-}" ] || { echo "eval_acc_perf.sh: needs bash: bash $0" >&2; exit 2; }
set -euo pipefail
case " $* " in *' --help '* | *' -h '*) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac

fail() {
    echo "eval_acc_perf.sh: $1" >&2
    exit 1
}

datasets_path='' flags=()
for argument in "$@"; do
    case $argument in
        --datasets_path=?*) datasets_path=$(realpath -m "${argument#*=}") ;;
        --weights=?*) flags+=("--weights=$(realpath -m "${argument#*=}")") ;;
        --batch-size* | --with* | --soc-version* | --device-id* | --no-reference | [!-]*) flags+=("$argument") ;;
        *) fail "unknown argument $argument (see --help)" ;;
    esac
done
[ -n "$datasets_path" ] || fail '--datasets_path=FOLDER is missing; FOLDER must contain set5'
[ -d "$datasets_path/set5" ] || fail "$datasets_path/set5: no such folder (README.md, step 4, says where to get Set5)"

cd "$(dirname "$0")/.."
# shellcheck source=../env.sh
[ -n "${ASCEND_OPP_PATH-}" ] || source env.sh 2>/dev/null || true # rdn.walk reports what is missing
RDN_SCRIPT=eval_acc_perf.sh exec python3 -m rdn.walk --steps=measure --dataset="$datasets_path/set5" ${flags[@]+"${flags[@]}"}
