#!/usr/bin/env bash
# Sets up an environment of its own and runs the test suite; arguments go to pytest:
#
#     bash test/run_tests.sh
#     bash test/run_tests.sh -m slow                      # what takes long: whole walks, a browser
#     bash test/run_tests.sh test/suite/top/test_tiles.py     # one file
#     PYTHON=python3.7 bash test/run_tests.sh -k whitelist
#
# RDN_TORCH_INDEX names the index that PyTorch comes from (bash setup_venv.sh --help).
[ -n "${BASH_VERSION-}" ] || { echo "run_tests.sh: needs bash: bash $0" >&2; exit 2; }
set -euo pipefail
case " $* " in *' --help '* | *' -h '*) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$0")/.."
# shellcheck source=../setup_venv.sh
. ./setup_venv.sh
python=$(find_python ${PYTHON:+"$PYTHON"})
setup_venv "test/.venv-$(python_version "$python")" test/requirements.txt "$python"
# All of it: a process for each core, up to eight. With threads of their own these would wait for each other.
if [ $# = 0 ]; then
    export OMP_NUM_THREADS=1
    set -- -n auto --maxprocesses=8
fi
exec python -m pytest "$@"
