"""What this machine's processor can do."""

import platform


def cpu_flags():
    """The names of the processor's instruction sets as Linux lists them; empty where it does not."""
    try:
        with open('/proc/cpuinfo') as file:
            lines = [line.split(':', 1)[1] for line in file if line.startswith(('flags', 'Features'))]
    except OSError:
        return frozenset()
    return frozenset(lines[0].split()) if lines else frozenset()


def has_bf16():
    """Whether the processor computes in bfloat16 itself; where it has to emulate, bf16 is slower than fp32."""
    wanted = {'bf16'} if platform.machine() in ('aarch64', 'arm64') else {'avx512_bf16', 'amx_bf16'}
    return bool(wanted & cpu_flags())
