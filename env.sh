# shellcheck shell=bash
# Guide 3.2 and 7.1: sets the CANN environment for atc, benchmark and ais_bench. Source this file from bash:
#
#     source env.sh
#
# It uses the toolkit that ASCEND_TOOLKIT_HOME or ASCEND_HOME_PATH names. Otherwise it searches the active conda
# environment, the folder in /etc/Ascend/ascend_cann_install.info, /usr/local/Ascend and ~/Ascend, in this order. In each,
# it prefers `latest` to the highest version. It sources the toolkit's own set_env.sh; if the toolkit has no such file, it
# sets the variables of CANN 5 itself. It prints the toolkit and its version. If you source it again, no path becomes
# longer. If it finds no toolkit, it prints an error and returns 1.

# Prints the folder of one version: $1 itself, its `latest`, or its highest number.
_rdn_version() {
    local folder
    while IFS= read -r folder; do
        if [ -d "$folder" ] && { [ -n "$(ls -A "$folder")" ] || [ -f "${folder%/*}/set_env.sh" ]; }; then
            printf '%s\n' "$folder"
            return 0
        fi
    done < <(
        for part in set_env.sh bin/setenv.bash opp atc compiler x86_64-linux aarch64-linux arm64-linux; do
            if [ -e "$1/$part" ]; then printf '%s\n' "$1"; fi
        done
        if [ "${1##*/}" = latest ]; then printf '%s\n' "$1"; fi
        printf '%s\n' "$1/latest"
        find "$1/" -maxdepth 1 -name '[0-9]*' 2>/dev/null | sort -rV
    )
    return 1
}

# Prints the toolkit's own script for the version in $1, found at $2.
_rdn_own_script() {
    local file
    for file in "$2/set_env.sh" "$1/set_env.sh" "$1/bin/setenv.bash"; do
        if [ -f "$file" ]; then printf '%s\n' "$file"; return 0; fi
    done
    # The script for `latest` is beside the versions.
    if [ "${1##*/}" = latest ] && [ -f "${1%/*}/set_env.sh" ]; then
        printf '%s\n' "${1%/*}/set_env.sh"
        return 0
    fi
    return 1
}

# Sets the variables for CANN 5.0.2 in $1, which has its compiler in atc/ and no script. The parts may be one folder deeper.
_rdn_cann5() {
    local base=$1 folder
    for folder in "$1/$(uname -m)-linux" "$1/arm64-linux"; do
        if [ ! -d "$1/atc" ] && [ -d "$folder" ]; then base=$folder; break; fi
    done
    export ASCEND_TOOLKIT_HOME=$1
    export ASCEND_OPP_PATH=$base/opp
    export ASCEND_AICPU_PATH=$base
    export PATH=$base/atc/ccec_compiler/bin:$base/atc/bin:$PATH
    export PYTHONPATH=$base/atc/python/site-packages:${PYTHONPATH-}
    export LD_LIBRARY_PATH=$base/atc/lib64:$base/acllib/lib64:${LD_LIBRARY_PATH-}
    for folder in /usr/local/Ascend/driver/lib64/driver /usr/local/Ascend/driver/lib64/common \
        /usr/local/Ascend/driver/lib64; do
        if [ -d "$folder" ]; then LD_LIBRARY_PATH=$folder:$LD_LIBRARY_PATH; fi
    done
}

# Prints the release of the toolkit in $1, from its installer's files, for example 8.1.RC1; nothing if they are missing.
_rdn_release() {
    sed -n 's/^version=//p' "$1/ascend_toolkit_install.info" "$1"/*-linux/ascend_toolkit_install.info 2>/dev/null
    sed -n 's/^toolkit_running_version=\[[^:]*:\(.*\)\]$/\1/p' "$1/version.cfg" 2>/dev/null
}

# On boards with less than 8 GB of memory, prints a remedy in case atc runs out of memory.
_rdn_small_board() {
    local kilobytes
    kilobytes=$(sed -n 's/^MemTotal: *\([0-9]*\) kB$/\1/p' "${RDN_MEMINFO:-/proc/meminfo}" 2>/dev/null)
    if [ -n "$kilobytes" ] && [ "$kilobytes" -lt 8000000 ] && [ -z "${TE_PARALLEL_COMPILER-}" ]; then
        printf '%s GB of memory: if atc runs out of memory, first run\n' $((kilobytes / 1000000))
        printf '    export TE_PARALLEL_COMPILER=1 MAX_COMPILE_CORE_NUMBER=1\n'
    fi
}

# Prints a search path without its repeated and empty entries, each at its first position.
_rdn_unique() {
    local entry seen=:
    while IFS= read -r -d : entry; do
        case $seen in *":$entry:"*) ;; *) if [ -n "$entry" ]; then seen=$seen$entry:; fi ;; esac
    done <<<"$1:"
    seen=${seen#:}
    printf '%s\n' "${seen%:}"
}

# Prints the folder that root's installer recorded; nothing if there is no record.
_rdn_noted_folder() {
    sed -n 's|^Install_Path=\(.*[^/[:space:]]\)[/[:space:]]*$|\1|p' \
        "${RDN_INSTALL_INFO:-/etc/Ascend/ascend_cann_install.info}" 2>/dev/null | head -n 1
}

# Prints the folders to search for a toolkit, one per line.
_rdn_places() {
    local root name noted
    noted=$(_rdn_noted_folder) || true # no record
    for root in ${CONDA_PREFIX:+"$CONDA_PREFIX/Ascend"} ${noted:+"$noted"} /usr/local/Ascend "${HOME-}/Ascend"; do
        for name in cann ascend-toolkit; do printf '%s\n' "$root/$name"; done
    done
}

_rdn_env() {
    local home version='' script nounset name release places
    if [ -n "${ASCEND_TOOLKIT_HOME:-${ASCEND_HOME_PATH-}}" ]; then
        set -- "${ASCEND_TOOLKIT_HOME:-$ASCEND_HOME_PATH}"
    else
        mapfile -t places < <(_rdn_places)
        set -- "${places[@]}"
    fi
    for home in "$@"; do
        if version=$(_rdn_version "${home%/}"); then break; fi
    done
    if [ -z "$version" ]; then
        printf 'env.sh: no CANN toolkit in %s: install it, or name its folder in ASCEND_TOOLKIT_HOME\n' "$*" >&2
        return 1
    fi
    if script=$(_rdn_own_script "$version" "${home%/}"); then
        nounset=${-//[!u]/}
        set +u # the vendor's scripts read variables that may be unset
        # shellcheck disable=SC1090
        . "$script" || printf 'env.sh: %s ended with status %d\n' "$script" $? >&2
        if [ -n "$nounset" ]; then set -u; fi
    else
        script='variables of CANN 5'
        _rdn_cann5 "$version"
    fi
    for name in PATH PYTHONPATH LD_LIBRARY_PATH; do
        if [ -n "${!name-}" ]; then export "$name=$(_rdn_unique "${!name}")"; fi
    done
    release=$(_rdn_release "${ASCEND_TOOLKIT_HOME:-$version}" | head -n 1)
    printf 'CANN environment: %s%s (%s)\n' "${ASCEND_TOOLKIT_HOME:-$version}" "${release:+, CANN $release}" "$script"
    _rdn_small_board
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    case " $* " in *' --help '* | *' -h '*) sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
    echo 'env.sh: running this file sets nothing in your shell; source it: source env.sh' >&2
    exit 1
fi
if _rdn_env; then
    unset -f _rdn_version _rdn_own_script _rdn_cann5 _rdn_release _rdn_small_board _rdn_unique _rdn_noted_folder \
        _rdn_places _rdn_env
else
    unset -f _rdn_version _rdn_own_script _rdn_cann5 _rdn_release _rdn_small_board _rdn_unique _rdn_noted_folder \
        _rdn_places _rdn_env
    return 1
fi
