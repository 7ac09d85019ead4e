#!/usr/bin/env bash
# Runs the whole suite and run.sh on every Python for which the packages exist, and prints a table of the results:
#
#     bash tools/matrix.sh [VERSION ...]            default: 3.7 to 3.13
#
# The variable DATASET names the folder of images for run.sh; default: ../shared/data/set5 if it exists, else run.sh's own
# default. Each Python has an environment under test/, which is made if it is missing. Logs are in matrix/. The script fails
# if a test fails, or if the PSNR or the checksum of bins and labels differs between the Pythons.
[ -n "${BASH_VERSION-}" ] || { echo "matrix.sh: needs bash: bash $0" >&2; exit 2; }
set -uo pipefail
case " $* " in *' --help '* | *' -h '*) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$0")/.." || exit
# shellcheck source=../setup_venv.sh
. ./setup_venv.sh

dataset=${DATASET-}
if [ -z "$dataset" ] && [ -d ../shared/data/set5 ]; then dataset=../shared/data/set5; fi
if [ $# = 0 ]; then set -- 3.7 3.8 3.9 3.10 3.11 3.12 3.13; fi
mkdir -p matrix
rows='' status=0 first=''
for version in "$@"; do
    if ! python=$(find_python "python$version" 2>/dev/null); then
        rows+="$version|not installed|||"$'\n'
        continue
    fi
    { PYTHON=$python bash test/run_tests.sh -q && PYTHON=$python bash test/run_tests.sh -q -m slow; } >"matrix/$version-tests.log" 2>&1 || status=1
    tests=$(grep -E "^[0-9]+ (passed|failed)" "matrix/$version-tests.log" | cut -d " " -f 1-4 | paste -sd ";")
    RDN_VENV=$PWD/test/.venv-$version bash run.sh ${dataset:+--dataset "$dataset"} >"matrix/$version-run.log" 2>&1 || status=1
    psnr=$(sed -n 's/^Avg PSNR: //p' "matrix/$version-run.log")
    sums=$(cd prep_dataset && cat data/*.bin label/*.npy | sha256sum | cut -c1-12)
    first=${first:-$psnr $sums}
    if [ "$psnr $sums" != "$first" ]; then status=1; fi
    torch=$("test/.venv-$version/bin/python" -c 'import torch; print(torch.__version__)')
    rows+="$version|$torch|$tests|$psnr|$sums"$'\n'
done
printf '%s' "Python|torch|tests|PSNR|bins and labels"$'\n'"$rows" | column -t -s '|'
if [ "$status" = 0 ]; then echo 'all passed, with the same results'; else echo 'FAILED, or results differ: see matrix/' >&2; fi
exit "$status"
