# shellcheck shell=bash
# Functions for run.sh and test/run_tests.sh, which source this file in the project's folder. It is not a command.
#
# They install the PyTorch that fits the machine. On Linux without an NVIDIA GPU (if nvidia-smi does not answer), these are
# PyTorch's own CPU wheels, without CUDA's libraries. All other packages come from pip's configured index.
#
# RDN_TORCH_INDEX  index, page of links (.html) or folder of wheels to install PyTorch from, on any machine.
#                  RDN_TORCH_INDEX= (empty) uses pip's configured index, with CUDA's libraries.

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    case " $* " in *' --help '* | *' -h '*) sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
fi

# setup_venv FOLDER REQUIREMENTS [PYTHON]: makes the virtual environment FOLDER, installs REQUIREMENTS into it, and
# activates it. If an earlier call did this for the same Python, it only activates.
setup_venv() {
    local folder=$1 requirements=$2 python wanted
    python=$(find_python ${3:+"$3"})
    if [ "$(command -v "$python")" -ef "$folder/bin/$(basename "$python")" ]; then # it may be removed below
        python=$("$python" -c 'import sys; print(getattr(sys, "_base_executable", None) or sys.executable)')
    fi
    wanted=$("$python" -c 'import sys; print(sys.version)' && cat requirements*.txt "$requirements")
    if [ "$wanted" != "$(cat "$folder/.set-up" 2>/dev/null)" ]; then
        echo "Setting up $folder ($("$python" --version), $requirements): only the first time, takes some minutes"
        if [ -e "$folder/.ours" ]; then
            announce_replacement "$folder" "$python"
            rm -rf "$folder"
        fi
        if ! "$python" -m venv "$folder"; then
            echo "$0: $python cannot make a virtual environment: on Debian, apt install python3-venv" >&2
            return 1
        fi
        touch "$folder/.ours"
        trap 'exit 130' INT # else Ctrl-C would only end pip, and the next index would be tried
        install_torch "$folder/bin/python" "$requirements" || return 1
        if ! pip_install "$folder/bin/python" -r "$requirements"; then
            echo "$0: pip could not install $requirements: its message is above" >&2
            return 1
        fi
        trap - INT
        printf '%s\n' "$wanted" >"$folder/.set-up"
    fi
    # shellcheck disable=SC1091
    . "$folder/bin/activate"
}

# install_torch PYTHON REQUIREMENTS: prints the source of PyTorch and the disk space that REQUIREMENTS needs. If PyTorch
# does not come from pip's configured index, it installs torch and torchvision, so that pip later finds them.
install_torch() {
    local python=$1 small='less than 2 GB' large='6 to 8 GB' index=$CPU_INDEX problem='does not answer'
    if [ "$(python_version "$python")" = 3.7 ]; then
        index=$CPU_PAGE large=$small # the wheel of torch 1.5.0 contains CUDA and needs no further packages
    fi
    case $2 in test/*) small='less than 3 GB' ;; esac
    if [ -n "${RDN_TORCH_INDEX-}" ]; then
        echo "  PyTorch from $RDN_TORCH_INDEX: $small without CUDA's libraries, $large with them"
        if ! torch_from "$RDN_TORCH_INDEX" '' "$python"; then
            echo "$0: RDN_TORCH_INDEX=$RDN_TORCH_INDEX: pip could not install PyTorch from there (its message is above):" \
                'correct the address, or unset the variable' >&2
            return 1
        fi
        return
    fi
    if ! pypi_has_cuda "$python"; then
        echo "  PyTorch and all other packages from pip's configured index: $small"
    elif [ -n "${RDN_TORCH_INDEX+empty}" ]; then
        echo "  PyTorch from pip's configured index, because RDN_TORCH_INDEX is empty: $large with CUDA's libraries"
    elif has_nvidia_gpu; then
        echo "  PyTorch with CUDA's libraries, for this machine's NVIDIA GPU: $large"
    elif pip_install "$python" --no-deps --retries 0 -r <(torch_lines torch +cpu) 2>/dev/null; then
        echo "  PyTorch without CUDA's libraries, from pip's configured index: $small"
    else
        if answers "$python" "$index"; then
            echo "  PyTorch without CUDA's libraries, from $index: $small"
            if torch_from "$index" +cpu "$python"; then return; fi
            problem="lacks PyTorch's CPU wheels (pip's message is above)"
        fi
        echo "  $index $problem: PyTorch comes from pip's configured index, $large with CUDA's libraries"
        echo "  To name another index of CPU wheels: RDN_TORCH_INDEX=URL bash $0"
    fi
}

# The sources of PyTorch's CPU wheels: the index, and the page with torch 1.5.0.
CPU_INDEX=https://download.pytorch.org/whl/cpu
CPU_PAGE=https://download.pytorch.org/whl/torch_stable.html

# torch_from INDEX BUILD PYTHON: installs torch and torchvision from INDEX. BUILD: for example +cpu; '' for any.
torch_from() {
    local place=(--index-url "$1")
    if [ -d "$1" ] || [ "${1%.html}" != "$1" ]; then place=(--no-index --find-links "$1"); fi
    pip_install "$3" --no-deps "${place[@]}" -r <(torch_lines 'torch\(vision\)\{0,1\}' "$2")
}

# torch_lines NAME BUILD: prints the lines of requirements.txt for NAME, a regular expression, with BUILD added to the
# version.
torch_lines() {
    sed -n "s/^\($1==[0-9.]*\)/\1$2/p" requirements.txt
}

# pip_install PYTHON FLAG ...: runs pip install; it shows its progress only on a terminal.
pip_install() {
    local python=$1 quiet=--quiet
    shift
    if [ -t 1 ]; then quiet=''; fi
    # shellcheck disable=SC2086
    "$python" -m pip install $quiet --disable-pip-version-check "$@"
}

# pypi_has_cuda PYTHON: whether PyPI's PyTorch for this machine and PYTHON needs CUDA's libraries.
pypi_has_cuda() {
    case "$(uname -s) $(uname -m)" in
        'Linux x86_64') return 0 ;;
        'Linux aarch64') case $(python_version "$1") in 3.8 | 3.9) return 1 ;; esac ;; # 2.13.0 has them on Arm too
        *) return 1 ;;
    esac
}

# has_nvidia_gpu: whether nvidia-smi answers within ten seconds, and lists a GPU.
has_nvidia_gpu() {
    [[ $(timeout 10 nvidia-smi -L 2>/dev/null) == 'GPU '* ]]
}

# answers PYTHON INDEX: whether the index, or page of links, answers within five seconds.
answers() {
    local url=$2
    if [ "${url%.html}" = "$url" ]; then url=${url%/}/torch/; fi
    timeout 5 "$1" -c 'import sys, urllib.request as r; r.urlopen(sys.argv[1], timeout=5).close()' "$url" >/dev/null 2>&1
}

# announce_replacement FOLDER PYTHON: prints why the environment FOLDER is made again for PYTHON. If the environment is for
# another Python and the script runs on a terminal, it waits for a key.
announce_replacement() {
    local folder=$1 old new
    old=$(sed -n '1s/ .*//p' "$folder/.set-up" 2>/dev/null || true)
    new=$("$2" -c 'import sys; print(sys.version.split()[0])')
    if [ -z "$old" ]; then
        echo "  $folder was not finished; it is made again"
    elif [ "$old" = "$new" ]; then
        echo "  $folder is made again, because the requirements changed"
    else
        echo "  $folder is for Python $old; an environment for Python $new replaces it. To keep it, press Ctrl-C, and name its"
        echo "  Python: PYTHON=python${old%.*} bash $0; then every PYTHON has its own environment"
        if [ -t 0 ] && [ -t 1 ]; then read -r -n 1 -s -p '  Press any other key to replace it.' && echo; fi
    fi
}

# choose_venv [PYTHON]: prints the folder of run.sh's environment: a folder of its own, for example .venv-3.7, if the user
# names a PYTHON; else the active environment, if run.sh made it; else .venv.
choose_venv() {
    if [ -n "${1-}" ]; then
        printf '.venv-%s\n' "$(python_version "$1")"
    elif [ -n "${VIRTUAL_ENV-}" ] && [ -e "$VIRTUAL_ENV/.ours" ] && [ "${VIRTUAL_ENV%/*}" -ef . ]; then
        printf '%s\n' "${VIRTUAL_ENV##*/}"
    else
        printf '.venv\n'
    fi
}

# python_version PYTHON: prints the version, for example 3.11.
python_version() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'
}

# find_python [PYTHON]: prints the command of a Python for which the packages exist: the given one, or else the first that
# works of python3, python3.13 and so on. The packages exist for 3.7 and later; on Arm for 3.8 and later, because the
# guide's torch 1.5.0 has no wheel for it. If a name is a shim of pyenv whose version is not selected, the installed
# versions are tried.
find_python() {
    local python place candidate oldest=3.7 why=
    case $(uname -m) in
        aarch64 | arm64) oldest=3.8 why=' (torch 1.5.0, which Python 3.7 needs, has no wheel for Arm)' ;;
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
    echo "$0: ${1:-python3} is not Python $oldest or later$why: name another Python: PYTHON=python3.11 bash $0" >&2
    return 1
}
