"""Makes environments to start a command in: locales, time zones, folders that cannot be written, full disks, proxies,
limits, streams."""

from __future__ import annotations

import random
from typing import NamedTuple

DEAD = "http://127.0.0.1:9"
NOWHERE = ("/nowhere", "/dev/null", "/dev/null/x", "/proc/none", "", "relative", "~")
VARIABLES: dict[str, tuple[str, ...]] = {
    "LC_ALL": ("C", "POSIX", "C.UTF-8", "tr_TR.UTF-8", "xx_XX", ""),
    "LANG": ("C", "ja_JP.SJIS"),
    "PYTHONIOENCODING": ("ascii", "latin-1", "utf-16"),
    "PYTHONUTF8": ("0", "1"),
    "PYTHONWARNINGS": ("error::DeprecationWarning", "ignore"),
    "PYTHONOPTIMIZE": ("1", "2"),
    "PYTHONHASHSEED": ("0", "4294967295"),
    "PYTHONDONTWRITEBYTECODE": ("1",),
    "TZ": ("UTC", "Asia/Kathmandu", "nonsense", ""),
    "HOME": NOWHERE,
    "TMPDIR": NOWHERE,
    "VOICECONV_HOME": NOWHERE,
    "XDG_DATA_HOME": NOWHERE,
    "XDG_CACHE_HOME": NOWHERE,
    "NUMBA_CACHE_DIR": NOWHERE,
    "MPLCONFIGDIR": NOWHERE,
    "HF_HOME": NOWHERE,
    "http_proxy": (DEAD, "nonsense"),
    "https_proxy": (DEAD,),
    "all_proxy": (DEAD, "socks5://127.0.0.1:9"),
    "no_proxy": ("*", ""),
    "CUDA_VISIBLE_DEVICES": ("", "-1", "7", "nonsense"),
    "OMP_NUM_THREADS": ("1", "64", "0", "nonsense"),
    "MKL_NUM_THREADS": ("1",),
    "COLUMNS": ("1", "0", "nonsense", "100000"),
    "TERM": ("dumb", "", "nonsense"),
    "NO_COLOR": ("1",),
    "FORCE_COLOR": ("1",),
    "DISPLAY": (":99",),
    "USER": ("",),
    "PWD": NOWHERE,
}
UNSET = ("HOME", "PATH", "TMPDIR", "LANG", "USER")
# The page and a training take seconds longer than the others.
COMMANDS = (*2 * ("voices", "convert", "inspect"), "help", "export", "translate", "app", "train")
STREAMS = ("", "", "<&-", ">/dev/null", "2>/dev/null", ">/dev/full")
PLACES: dict[str, str] = {
    "": "",
    "read-only": "mount --bind . . && mount -o remount,bind,ro . && cd .",
    "full disk": "mount -t tmpfs -o size=16k full out && mount -t tmpfs -o size=16k full temporary"
    ' && export TMPDIR="$PWD/temporary"',
    "no shared memory": "mount -t tmpfs -o ro,size=4k none /dev/shm",
}
"""What a shell does before a command begins in a folder with `out`, for results, and `temporary`; only it sees that."""


class Environment(NamedTuple):
    """A command and what it is started in: variables set and removed, what is mounted, the most open files, the umask,
    and streams that are redirected or closed by a shell."""

    command: str
    variables: dict[str, str]
    unset: list[str]
    place: str
    open_files: int
    umask: int
    streams: str


def environment_case(number: int) -> Environment:
    return odd_environment(random.Random(f"environment {number}"))


def odd_environment(chance: random.Random) -> Environment:
    names = chance.sample(sorted(VARIABLES), chance.randrange(1, 6))
    return Environment(
        chance.choice(COMMANDS),
        {name: chance.choice(VARIABLES[name]) for name in names},
        chance.sample(UNSET, chance.randrange(3)),
        chance.choice(("", "", *PLACES)),
        chance.choice((64, 256, 1024)),
        chance.choice((0, 0o022, 0o077, 0o777)),
        chance.choice(STREAMS),
    )
