"""Installed where nothing can be written, by somebody without a home, the commands still run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PREPARE = """
import sys
from pathlib import Path
from voiceconv.features.mel import MelConfig
from voiceconv.training.dataset import prepare_speaker
prepare_speaker(Path(sys.argv[1]), Path(sys.argv[2]), MelConfig(), seed=0)
"""


@pytest.fixture
def librosa_read_only(tmp_path: Path) -> Path:
    """A folder with a librosa that cannot keep compiled code: root, too, makes no folder where there is a file."""
    spec = find_spec("librosa")
    assert spec is not None
    assert spec.origin is not None
    copy = shutil.copytree(
        Path(spec.origin).parent, tmp_path / "packages" / "librosa", ignore=lambda *_: {"__pycache__"}
    )
    for folder in (copy, *(path for path in copy.rglob("*") if path.is_dir())):
        (folder / "__pycache__").touch()
    return copy.parent


@pytest.mark.slow
def test_training_needs_neither_a_home_nor_a_writable_installation(
    librosa_read_only: Path, two_speakers: tuple[Path, Path], tmp_path: Path
) -> None:
    """What `train` does first is what needs librosa."""
    (tmp_path / "temporary").mkdir()
    variables = {name: value for name, value in os.environ.items() if name not in ("VOICECONV_HOME", "NUMBA_CACHE_DIR")}
    variables |= {"HOME": "/dev/null/nobody", "TMPDIR": str(tmp_path / "temporary")}
    variables |= {"PYTHONPATH": os.pathsep.join([str(librosa_read_only), str(ROOT)])}
    process = subprocess.run(
        [sys.executable, "-c", PREPARE, str(two_speakers[0]), str(tmp_path / "features.safetensors")],
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "features.safetensors").is_file()
    assert list((tmp_path / "temporary").glob("numba-*")) == []
