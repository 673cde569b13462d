"""Several processes train as one: same result, saved once, resumed exactly, and a clear end when one of them dies.

The threads that a process is left with are looked for where Linux lists them.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from generative_core.training.checkpoint import list_checkpoints, load_latest_checkpoint
from generative_core.training.parallel import own_rows, own_share
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[3]

SCRIPT = """
import os, signal, sys, time, torch
from pathlib import Path
from torch import nn
from generative_core import GAN, Diffusion, DiffusionConfig, GANConfig, TensorLoader, TrainConfig, Trainer
from generative_core.nets import DiffusionUNet, MLPDecoder, MLPEncoder
from generative_core.training.parallel import is_first, join_processes

torch.set_num_threads(1)
SHAPE = (1, 8, 8)

def diffusion():
    # Attention has a bias without effect: its gradient is but rounding errors, of which Adam makes whole steps.
    network = DiffusionUNet(shape=SHAPE, channels=8, multipliers=(1, 2), attention=0, classes=3)
    return Diffusion(DiffusionConfig(shape=SHAPE, classes=3), network)

def gan():
    return GAN(
        GANConfig(z_dim=4, r1=0.1),
        generator=lambda: MLPDecoder(shape=SHAPE, latent=4),
        discriminator=lambda: MLPEncoder(shape=SHAPE, outputs=1),
    )

class Deadly(TensorLoader):
    def __next__(self):
        if self.position == 4 and not is_first():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__next__()

def trainer(family, run_dir, budget=60.0, loader=TensorLoader):
    torch.manual_seed(1)
    model = {"diffusion": diffusion, "gan": gan}[family]()
    x = torch.rand(20, *SHAPE, generator=torch.Generator().manual_seed(2)) * 2 - 1
    config = TrainConfig(
        steps=6, run_dir=run_dir, device="cpu", log_every=2, checkpoint_seconds=0.0, budget_seconds=budget
    )
    return Trainer(model, loader({"x": x, "y": torch.arange(20) % 3}, 4), config)

def running_threads():
    names = set()
    for thread in Path("/proc/self/task").iterdir():
        try:
            names.add((thread / "comm").read_text().strip())
        except (FileNotFoundError, ProcessLookupError):
            pass
    return names

if __name__ == "__main__":
    with join_processes():
        for words in sys.argv[1:]:
            family, run_dir, budget, *deadly = words.split(",")
            trainer(family, run_dir, float(budget), Deadly if deadly else TensorLoader).fit(resume=True)
    # A thread that has been waited for may still be listed for a moment, and be gone when its name is read.
    for _ in range(100):
        if "pt_gloo_runloop" not in running_threads():
            break
        time.sleep(0.1)
    else:
        sys.exit("still there when the interpreter ends, the threads of the process group may abort the process")
"""

Ended = list[subprocess.CompletedProcess[str]]


class Runs(NamedTuple):
    """What two processes trained in `folder`, when they were started, and when they were started again."""

    folder: Path
    first: Ended
    stopped_at: int
    second: Ended


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """`stopped` and `lost` are interrupted at first, and resumed by other processes, which train `whole` and `gan`."""
    folder = tmp_path_factory.mktemp("together")
    first = together(folder, "diffusion,stopped,0", "diffusion,lost,600,deadly")
    stopped_at = final_state(folder / "stopped")["step"]
    second = together(folder, "diffusion,whole,600", "gan,gan,600", "diffusion,stopped,600", "diffusion,lost,600")
    return Runs(folder, first, stopped_at, second)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    namespace: dict[str, Any] = {"__name__": "script"}
    exec(SCRIPT, namespace)
    for family in ("diffusion", "gan"):
        assert namespace["trainer"](family, folder / family).fit()
    return folder


def together(folder: Path, *trainings: str) -> Ended:
    """Two processes, started as `torchrun` would: one training after the other, each a family, a run and a budget."""
    script = folder / "script.py"
    script.write_text(SCRIPT)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {**os.environ, "PYTHONPATH": str(ROOT), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    shared |= {"MASTER_PORT": str(port), "CUDA_VISIBLE_DEVICES": ""}
    words = [sys.executable, str(script), *trainings]
    workers = [
        subprocess.Popen(
            words,
            cwd=folder,
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    return [
        subprocess.CompletedProcess(words, worker.returncode, "", error)
        for worker in workers
        for _, error in [worker.communicate(timeout=PATIENCE)]
    ]


def final_state(run: Path) -> dict[str, Any]:
    state = load_latest_checkpoint(run / "checkpoints")
    assert state is not None
    return state


def weights(run: Path) -> dict[str, torch.Tensor]:
    state = final_state(run)
    assert state["step"] == 6
    return {**state["model"], **{f"ema/{name}": value for name, value in state["ema"].items()}}


@pytest.mark.slow
@pytest.mark.parametrize(("family", "run"), [("diffusion", "whole"), ("gan", "gan")])
def test_two_processes_give_the_result_of_one(family: str, run: str, runs: Runs, alone: Path) -> None:
    assert [worker.returncode for worker in runs.second] == [0, 0], runs.second
    folders = alone / family, runs.folder / run
    one, two = map(weights, folders)
    for name, value in one.items():
        assert torch.allclose(value, two[name], atol=1e-5), name
    logs = [(folder / "metrics.jsonl").read_text().splitlines() for folder in folders]
    assert len(logs[1]) == 3, "written by one of them"
    for single, double in zip(*logs, strict=True):
        a, b = json.loads(single), json.loads(double)
        for name in a.keys() - {"seconds", "generator/spread"}:  # the spread is over each process's own rows
            assert a[name] == pytest.approx(b[name], rel=1e-3, abs=1e-5), name
    assert len(list_checkpoints(folders[1] / "checkpoints")) == 2


@pytest.mark.slow
def test_two_processes_resume_exactly(runs: Runs) -> None:
    assert runs.stopped_at == 1
    assert [worker.returncode for worker in runs.second] == [0, 0], runs.second
    whole, resumed = weights(runs.folder / "whole"), weights(runs.folder / "stopped")
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


@pytest.mark.slow
def test_the_death_of_one_is_said_and_leaves_a_run_to_resume(runs: Runs, alone: Path) -> None:
    survivor, dead = runs.first
    assert dead.returncode == -9
    assert survivor.returncode == 1
    assert "Another process of this training died or cannot be reached any more, at step 4" in survivor.stderr
    assert "start all processes again and resume it" in survivor.stderr
    one, two = weights(alone / "diffusion"), weights(runs.folder / "lost")
    assert all(torch.allclose(value, two[name], atol=1e-5) for name, value in one.items())


@pytest.mark.slow
def test_a_recipe_under_torchrun_reports_once(tmp_path: Path) -> None:
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--"]
    words.append("recipes.autoencoder_mnist")  # without the dashes torchrun takes --run for an option of its own
    options = ["--smoke", "--latents", "2", "--device", "cpu", "--run", str(tmp_path / "run")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [sys.executable, *words, *options],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("The report is") == 1
    assert (tmp_path / "run" / "report.html").is_file()


def test_alone_every_row_is_its_own() -> None:
    x = torch.arange(3)
    assert own_rows(x) is x
    torch.manual_seed(0)
    drawn = own_share(lambda count: torch.rand(count, 2), 5)
    torch.manual_seed(0)
    assert torch.equal(drawn, torch.rand(5, 2))
