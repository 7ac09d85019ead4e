#!/usr/bin/env bash
# Makes the environment of the test suite and runs the suite. It passes its arguments to pytest:
#
#     bash test/run_tests.sh
#     bash test/run_tests.sh -m slow                      # slow tests: whole runs, a browser
#     bash test/run_tests.sh test/suite/top/test_tiles.py     # one file
#     PYTHON=python3.7 bash test/run_tests.sh -k whitelist
#
# RDN_TORCH_INDEX is the package index for PyTorch (see bash setup_venv.sh --help).
[ -n "${BASH_VERSION-}" ] || { echo "run_tests.sh: needs bash: bash $0" >&2; exit 2; }
set -euo pipefail
case " $* " in *' --help '* | *' -h '*) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$0")/.."
# shellcheck source=../setup_venv.sh
. ./setup_venv.sh
python=$(find_python ${PYTHON:+"$PYTHON"})
setup_venv "test/.venv-$(python_version "$python")" test/requirements.txt "$python"
# The whole suite runs in one process per core, up to eight, with one thread each: more threads would compete for the cores.
if [ $# = 0 ]; then
    export OMP_NUM_THREADS=1
    set -- -n auto --maxprocesses=8
fi
exec python -m pytest "$@"
