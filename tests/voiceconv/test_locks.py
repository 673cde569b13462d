from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from voiceconv.locks import is_locked, try_lock

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys
from pathlib import Path
from voiceconv.locks import try_lock
held = try_lock(Path(sys.argv[1]))
print(held is not None, flush=True)
sys.stdin.read()
"""


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    held = try_lock(tmp_path / "lock")
    assert held is not None
    assert is_locked(tmp_path / "lock")
    assert try_lock(tmp_path / "lock") is None
    held.lock.release()
    assert not is_locked(tmp_path / "lock")
    assert not is_locked(tmp_path / "other")
    with try_lock(tmp_path / "lock"):  # type: ignore[union-attr]
        assert is_locked(tmp_path / "lock")
    assert not is_locked(tmp_path / "lock")


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "lock")]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        assert is_locked(tmp_path / "lock")
        assert try_lock(tmp_path / "lock") is None
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not is_locked(tmp_path / "lock")
    assert try_lock(tmp_path / "lock") is not None
