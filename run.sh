#!/usr/bin/env bash
# Run the whole guide with one command, on any machine:
#
#     bash run.sh [--weights FILE|full|lite] [--dataset FOLDER] [--batch-size 1,4,8] [--with TOOL] ...
#
# --weights      FILE, full (weights/rdn_x2.pth, the guide's network) or lite (weights/rdn_x2_lite.pth, the compact one);
#                default: rdn_x2.pth if it is in this folder, else full for a device and lite without one
# --dataset      folder of images of at least 228 x 228 pixels; default: /root/dataset/set5 if it exists,
#                else five photographs from scikit-image
# --batch-size   one or several; 1,4,8,16,32,64 converts and measures each size and prints a table; default 1
# --with         benchmark, ais_bench, acl (pyACL) or host; default: the first one found; all but host need atc
# --soc-version  the chip's name for atc, for example Ascend310P3; default: from npu-smi; benchmark falls back to Ascend310
# --device-id    number of the device; default 0
# --compare-modes only compares each variant of the graph in each precision mode that atc or this machine's CPU
#                supports; prints a table, and the commands for the fastest one that keeps accuracy. This takes minutes
#                on a CPU, and hours with atc, which converts a model for each row
# --no-reference skips the comparison with PyTorch, so there is no verdict on accuracy
#
# If atc and one of benchmark, ais_bench and pyACL are installed, the script converts the model and runs it on the device.
# (Every CANN toolkit contains pyACL.) Otherwise RDN_infer.py runs the model on this machine's CPU. The first run makes the
# environment .venv and installs requirements.txt into it.
#
# Environment variables:
# RDN_TORCH_INDEX  package index for PyTorch (see bash setup_venv.sh --help)
# PYTHON           Python to use instead of python3; it has its own environment, for example .venv-3.7
# RDN_VENV         existing environment to use without changes
# AIS_BENCH        command for ais_bench, if it is not `python3 -m ais_bench`
# SOC_VERSION      same as --soc-version
# CHIPS            number of devices on a card, if npu-smi does not show it
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
                --dataset) value=$(absolute "$2") && [ -d "$value" ] || fail "$2: no such folder (README.md, step 4, says where to get Set5; without --dataset, five photographs are used)" ;;
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

# On an Ascend server, the toolkit can be installed without its environment being set.
# shellcheck source=env.sh
if ! command -v atc >/dev/null && set -- && . ./env.sh 2>/dev/null; then
    activate="$activate; source env.sh" # last, so that (deactivate; atc ...) still finds atc
    export RDN_SOURCED=1
fi
echo "Commands below run in $PWD, after: source $activate"
RDN_SCRIPT=run.sh exec python3 -m rdn.walk ${flags[@]+"${flags[@]}"}
