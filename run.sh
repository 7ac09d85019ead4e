#!/usr/bin/env bash
# The whole guide in one command, on whatever machine it is:
#
#     bash run.sh [--weights FILE|full|lite] [--dataset FOLDER] [--batch-size 1,4,8] [--with TOOL] ...
#
# --weights      FILE, full (weights/rdn_x2.pth, the guide's network) or lite (weights/rdn_x2_lite.pth, the compact one);
#                default: rdn_x2.pth if it is in this folder, else full for a device and lite without one
# --dataset      folder of images, 228 x 228 pixels at least; default: /root/dataset/set5 where it is,
#                else five photographs that scikit-image ships
# --batch-size   one or several: with 1,4,8,16,32,64 each is converted and measured, and a table compares them; default 1
# --with         benchmark, ais_bench, acl (pyACL) or host; default: the first of these that is here; all but host need atc
# --soc-version  the chip's name for atc, Ascend310P3 say; default: what npu-smi shows (beside benchmark also Ascend310)
# --device-id    number of the device; default 0
# --compare-modes instead of the walk: each variant of the graph in each precision mode that atc knows, or that this
#                machine's processor computes in; ends with a table, and the commands for the fastest one that keeps the
#                accuracy. Minutes on a processor; hours with atc, a conversion for each row
# --no-reference leaves out the comparison with PyTorch, on which the verdict on accuracy rests
#
# Where atc is installed, and benchmark, ais_bench or pyACL (a part of every CANN toolkit), it converts the model and
# runs it on the device; elsewhere RDN_infer.py runs it on this machine's processor. The first run makes .venv and installs requirements.txt into it.
# RDN_TORCH_INDEX names the index that PyTorch comes from (bash setup_venv.sh --help).
# PYTHON names another Python than python3, with an environment of its own, .venv-3.7 for instance; RDN_VENV names an
# environment that is used as it is. AIS_BENCH says how to
# call ais_bench where it is not `python3 -m ais_bench`; SOC_VERSION is --soc-version; CHIPS says how many devices a
# card holds where npu-smi does not.
[ -n "${BASH_VERSION-}" ] || { echo "run.sh: needs bash: bash $0" >&2; exit 2; }
set -euo pipefail
case " $* " in *' --help '* | *' -h '*) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac

fail() {
    echo "run.sh: $1" >&2
    exit 2
}

absolute() { case $1 in /*) printf '%s\n' "$1" ;; *) printf '%s/%s\n' "$PWD" "$1" ;; esac; }

flags=()
while [ $# -gt 0 ]; do
    case $1 in
        --no-reference | --compare-modes) flags+=("$1"); shift ;;
        --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
        --weights | --dataset | --batch-size | --with | --soc-version | --device-id)
            [ $# -ge 2 ] && [ -n "$2" ] || fail "$1 needs a value (see --help)"
            value=$2
            case $1 in
                --weights) case $2 in
                    lite | full) ;;
                    *) value=$(absolute "$2") && [ -f "$value" ] || fail "$2: no such file" ;;
                esac ;;
                --dataset) value=$(absolute "$2") && [ -d "$value" ] || fail "$2: no such folder" ;;
            esac
            flags+=("$1=$value")
            shift 2
            ;;
        *) fail "unknown argument $1 (see --help)" ;;
    esac
done

cd "$(dirname "$0")"
if [ -n "${RDN_VENV-}" ]; then
    # shellcheck disable=SC1091
    . "$RDN_VENV/bin/activate"
else
    # shellcheck source=setup_venv.sh
    . ./setup_venv.sh
    if [ -n "${PYTHON-}" ]; then PYTHON=$(find_python "$PYTHON"); fi
    setup_venv "$(choose_venv "${PYTHON-}")" requirements.txt "${PYTHON-}"
fi
activate=$(dirname "$(command -v python3)")/activate

# On an Ascend server the toolkit may be installed but its environment not set.
# shellcheck source=env.sh
if ! command -v atc >/dev/null && set -- && . ./env.sh 2>/dev/null; then
    activate="$activate; source env.sh" # behind it, so that (deactivate; atc ...) finds atc by env.sh's own line
    export RDN_SOURCED=1
fi
echo "Commands below are run in $PWD, after: source $activate"
RDN_SCRIPT=run.sh exec python3 -m rdn.walk ${flags[@]+"${flags[@]}"}
