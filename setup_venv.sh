# shellcheck shell=bash
# Functions for run.sh and test/run_tests.sh, which source this file in the project's folder. It is not a command.

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    case " $* " in *' --help '* | *' -h '*) sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
fi

# setup_venv FOLDER REQUIREMENTS [PYTHON]: makes the virtual environment FOLDER hold what REQUIREMENTS
# asks for, and activates it. Where an earlier call did so, for the same Python, it only activates.
setup_venv() {
    local folder=$1 requirements=$2 python wanted quiet=--quiet
    python=$(find_python ${3:+"$3"})
    if [ "$(command -v "$python")" -ef "$folder/bin/$(basename "$python")" ]; then # active, and perhaps to be made anew
        python=$("$python" -c 'import sys; print(getattr(sys, "_base_executable", None) or sys.executable)')
    fi
    wanted=$("$python" -c 'import sys; print(sys.version)' && cat requirements*.txt "$requirements")
    if [ "$wanted" != "$(cat "$folder/.set-up" 2>/dev/null)" ]; then
        echo "Setting up $folder ($("$python" --version), $requirements): once, some minutes, about 1.7 GB"
        echo "  PyTorch, ONNX Runtime, OpenCV and others; where pip brings CUDA's libraries, some GB more. Without them:"
        echo "  PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu bash $0"
        if [ -t 1 ]; then quiet=''; fi # pip's own progress is for a person
        if [ -e "$folder/.ours" ]; then
            announce_replacement "$folder" "$python"
            rm -rf "$folder"
        fi
        if ! "$python" -m venv "$folder"; then
            echo "$0: $python cannot make a virtual environment: on Debian, apt install python3-venv" >&2
            return 1
        fi
        touch "$folder/.ours"
        # shellcheck disable=SC2086
        if ! "$folder/bin/python" -m pip install $quiet --disable-pip-version-check -r "$requirements"; then
            echo "$0: pip could not install $requirements: its message is above" >&2
            return 1
        fi
        printf '%s\n' "$wanted" >"$folder/.set-up"
    fi
    # shellcheck disable=SC1091
    . "$folder/bin/activate"
}

# announce_replacement FOLDER PYTHON: says why the environment FOLDER is made anew for PYTHON. Where it is one of another
# Python and a person is at the terminal, it waits for a key.
announce_replacement() {
    local folder=$1 old new
    old=$(sed -n '1s/ .*//p' "$folder/.set-up" 2>/dev/null || true)
    new=$("$2" -c 'import sys; print(sys.version.split()[0])')
    if [ -z "$old" ]; then
        echo "  $folder was not finished, and is made anew"
    elif [ "$old" = "$new" ]; then
        echo "  $folder is made anew, because the requirements changed"
    else
        echo "  $folder is of Python $old, and is replaced by one of Python $new. To keep it, press Ctrl-C, and name its"
        echo "  Python: PYTHON=python${old%.*} bash $0; every PYTHON has an environment of its own"
        if [ -t 0 ] && [ -t 1 ]; then read -r -n 1 -s -p '  Press any other key to replace it.' && echo; fi
    fi
}

# choose_venv [PYTHON]: prints the folder of run.sh's environment: .venv; for a Python that the user names, one of its
# own, .venv-3.7 for instance; where one of these is active, that one.
choose_venv() {
    if [ -n "${1-}" ]; then
        printf '.venv-%s\n' "$(python_version "$1")"
    elif [ -n "${VIRTUAL_ENV-}" ] && [ -e "$VIRTUAL_ENV/.ours" ] && [ "${VIRTUAL_ENV%/*}" -ef . ]; then
        printf '%s\n' "${VIRTUAL_ENV##*/}"
    else
        printf '.venv\n'
    fi
}

# python_version PYTHON: prints 3.11, for instance.
python_version() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'
}

# find_python [PYTHON]: prints the given Python, else the first of the usual ones, that a stack exists
# for: 3.7 and later; on Arm, where torch 1.5.0 of the guide's stack has no wheel, 3.8 and later.
# Behind a name of pyenv's that is not selected, its installed versions count.
find_python() {
    local python place candidate oldest=3.7 why=
    case $(uname -m) in
        aarch64 | arm64) oldest=3.8 why=' (torch 1.5.0, of the stack for 3.7, has no wheel for Arm)' ;;
    esac
    for python in ${1:-python3 python3.13 python3.12 python3.11 python3.10 python3.9 python3.8 python3.7}; do
        place=$(command -v "$python" || true)
        for candidate in "$python" "${place%/shims/*}/versions/${python#python}".*/bin/python; do
            if "$candidate" -c "import sys; sys.exit(sys.version_info[:2] < (3, ${oldest#3.}))" 2>/dev/null; then
                printf '%s\n' "$candidate"
                return 0
            fi
        done
    done
    echo "$0: ${1:-python3} is not Python $oldest or later$why: name one that is: PYTHON=python3.11 bash $0" >&2
    return 1
}
