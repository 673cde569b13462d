"""Runs an image recipe: its options, its run folder, trainings within a budget, and its report."""

from __future__ import annotations

import json
import platform
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

import torch
from torch import Tensor, nn

from generative_core.files import write_atomically
from generative_core.report import Report
from generative_core.training.callbacks import Callback
from generative_core.training.checkpoint import CheckpointError
from generative_core.training.config import TrainConfig
from generative_core.training.data import Loader, TensorLoader
from generative_core.training.parallel import WorkerLost, from_first, is_first
from generative_core.training.precision import Precision, choose_precision
from generative_core.training.trainer import NonFiniteLoss, Trainer, choose_device
from recipes.common.image_data import Images, load_images
from voiceconv.cli.arguments import duration
from voiceconv.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Model = TypeVar("Model", bound=nn.Module)

SMOKE_STEPS = 10
SMOKE_IMAGES = 200
# What may differ between a run and its resumption.
FREE_ON_RESUME = ("run", "resume", "budget", "device")


@dataclass(frozen=True)
class TrainOptions:
    """How long and on how many images at a time every model of the recipe is trained."""

    steps: int = 2000
    """Training steps."""
    batch_size: int = 128
    """Samples in a training step."""


@dataclass(frozen=True)
class RunConfig:
    """What every recipe on images asks."""

    smallest_batch: ClassVar[int] = 1

    run: Path | None = None
    """Folder for checkpoints and report; runs/NAME unless given."""
    device: str = "auto"
    """Device to compute on: auto, cpu, cuda or mps."""
    precision: Literal["float32", "auto"] = "float32"
    """auto measures for three seconds what is fastest on the device: float32 or bfloat16, contiguous or channels-last,
    and on a GPU compiled or not."""
    seed: int = 0
    """Seed of all random numbers."""
    budget: str = "10m"
    """Stop training so that all is done within this time, such as 90s, 10m or 1h30m."""
    resume: bool = False
    """Continue a run that was stopped."""
    smoke: bool = False
    """Only check that everything runs, within seconds."""
    train: TrainOptions = field(default_factory=TrainOptions)


@dataclass(frozen=True)
class ImageConfig(RunConfig):
    """What a recipe asks that takes any images."""

    smallest_batch: ClassVar[int] = 2

    data: Path | None = None
    """Folder with MNIST as torchvision lays it out, with emoji (emoji.json), or with any images, one folder per class
    if they have classes. Unless given: the 1,797 real digits that come with scikit-learn."""
    download: bool = False
    """Fetch MNIST into the folder --data."""


class Run:
    """One run of a recipe: `trainings` models trained one after the other within the budget, then a report."""

    def __init__(self, config: RunConfig, name: str, folder: Path, trainings: int) -> None:
        self.config = config
        self.name = name
        self.folder = folder
        self.device = choose_device(config.device)
        self.started = time.monotonic()
        self.budget = _seconds(config.budget)
        self.trainings_left = trainings
        self.precision = Precision()  # of the last training
        self.unfinished: list[str] = []

    def train(
        self,
        name: str,
        build: Callable[[], Model],
        loader: Loader,
        *,
        steps: int | None = None,
        seed: int | None = None,
        callbacks: Sequence[Callback] = (),
        **options: Any,
    ) -> Model:
        """Builds a model and trains it in the folder `name` of the run; `options` are those of `TrainConfig`.

        Steps and seed are the recipe's unless given. The model comes back to be used only: frozen, in evaluation
        mode, and with its averaged weights where its family averages any. What the budget leaves is shared out evenly
        among the trainings still to come.
        """
        steps = self.steps(self.config.train.steps if steps is None else steps)
        seed = self.config.seed if seed is None else seed
        started = time.monotonic()
        # A tenth is for measuring and drawing.
        share = max(0.0, 0.9 * (self.started + self.budget - started)) / self.trainings_left
        self.trainings_left -= 1
        torch.manual_seed(seed)
        model = build()
        self.precision = self._precision(name, model, loader)
        config = TrainConfig(
            steps=steps,
            run_dir=self.folder / name,
            seed=seed,
            device=self.config.device,
            budget_seconds=share,
            precision=self.precision,
            **options,
        )
        trainer = Trainer(model, loader, config, callbacks)
        try:
            finished = trainer.fit(resume=self.config.resume)
        except (CheckpointError, NonFiniteLoss, WorkerLost) as error:
            raise UserError(str(error)) from error
        seconds = time.monotonic() - started
        print(f"{name}: step {trainer.step} of {config.steps}, {seconds:.0f} s", flush=True)
        if not finished:
            if seconds < share:
                raise KeyboardInterrupt  # the trainer has saved and stopped in good order
            self.unfinished.append(name)
        with torch.no_grad():
            for parameter, value in model.named_parameters():
                if parameter in trainer.ema:
                    value.copy_(trainer.ema[parameter])
        return model.eval().requires_grad_(False)

    def _precision(self, name: str, model: nn.Module, loader: Loader) -> Precision:
        """What was chosen for this training, now or when it began."""
        if self.config.precision == "float32":
            return Precision()
        path = self.folder / name / "precision.json"

        def choose() -> Precision:
            if path.is_file():
                return Precision(**json.loads(path.read_text(encoding="utf-8")))
            seconds = 0.1 if self.config.smoke else 3.0
            choice = choose_precision(model, loader, self.device, seconds=seconds)
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_json(path, asdict(choice))
            return choice

        return from_first(choose)

    def steps(self, steps: int) -> int:
        """So many steps, or a few in a smoke run."""
        return min(steps, SMOKE_STEPS) if self.config.smoke else steps

    def images(self, *, size: int | None = None) -> tuple[Images, Images]:
        """The images to train on and those to test on, on the device; few of them in a smoke run."""
        config = self.config
        assert isinstance(config, ImageConfig)
        limit = SMOKE_IMAGES if config.smoke else None
        train, test = load_images(config.data, download=config.download, size=size, limit=limit)
        return train.to(self.device), test.to(self.device)

    def loader(self, seed: int | None = None, **tensors: Tensor) -> TensorLoader:
        """Batches of these tensors, as large as the recipe's."""
        return TensorLoader(tensors, self.config.train.batch_size, seed=self.config.seed if seed is None else seed)

    def report(self, title: str, shows: str) -> Report:
        """A report that begins with what it shows; `save` it when its figures and tables are there."""
        report = Report(title).text(shows)
        if self.unfinished:
            names = ", ".join(self.unfinished)
            report.text(f"Not done: the budget of {self.config.budget} ended {names} early.", tone="fair")
        if self.config.smoke:
            report.text("A check that everything runs: no figure here means anything.", tone="fair")
        return report

    def save(self, report: Report, results: Mapping[str, Any], picture: Figure) -> None:
        """Writes `report.html`, `picture.png` and `results.json`: the figures, the command, the time of all
        parts of a resumed run, the machine, and what the budget ended early."""
        path, seconds = self.folder / "results.json", time.monotonic() - self.started
        if self.config.resume and path.is_file():
            seconds += json.loads(path.read_text(encoding="utf-8"))["seconds"]
        machine = f"{_machine(self.device)}, torch {torch.__version__}"
        command = " ".join(["python -m", f"recipes.{self.name}", *map(shlex.quote, sys.argv[1:])])
        report.heading("How")
        report.text(f"{command}\n{seconds:.0f} s on {machine}")
        report.save(self.folder / "report.html")
        picture.savefig(self.folder / "picture.png", dpi=100, bbox_inches="tight", facecolor="white")
        about = {"command": command, "seconds": round(seconds), "machine": machine, "unfinished": self.unfinished}
        _write_json(path, {**about, **results})
        print(f"The report is {self.folder / 'report.html'}, after {seconds:.0f} s.")
        if self.unfinished:
            print("It is not done: the same command with --resume goes on from here.")


@contextmanager
def open_run(config: RunConfig, name: str, trainings: int) -> Iterator[Run]:
    """The run of the recipe `name`, its resolved settings printed and kept in `config.json`.

    A smoke run leaves nothing behind unless a run folder was given. Of several processes that `torchrun` has started
    only the first one writes there; what the others leave is thrown away.
    """
    if config.train.steps < 1 or config.train.batch_size < config.smallest_batch:
        raise UserError(f"--train.steps must be at least 1 and --train.batch-size at least {config.smallest_batch}.")
    with tempfile.TemporaryDirectory() as scratch:
        folder = config.run or (Path(scratch) if config.smoke else Path("runs") / name)
        if not is_first():
            folder = Path(scratch)
        from_first(lambda: _record_config(config, name, folder), UserError)
        yield Run(config, name, folder, trainings)


def _record_config(config: RunConfig, name: str, folder: Path) -> None:
    settings = json.loads(json.dumps({"recipe": name, **asdict(config)}, default=str))
    path = folder / "config.json"
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))["settings"]
        if not config.resume:
            raise UserError(f"{folder} already holds a run. Add --resume to go on with it, or choose another folder.")
        keys = {*settings, *before} - set(FREE_ON_RESUME)
        different = sorted(key for key in keys if settings.get(key) != before.get(key))
        if different:
            raise UserError(
                f"{folder} holds a run with other settings for {', '.join(different)}. Resume it with the same "
                "command as before, or choose another folder."
            )
    folder.mkdir(parents=True, exist_ok=True)
    versions = {"python": platform.python_version(), "torch": str(torch.__version__)}
    _write_json(path, {"settings": settings, "versions": versions})
    print(json.dumps(settings, indent=2))


def _seconds(budget: str) -> float:
    try:
        return duration(budget)
    except ValueError as error:
        raise UserError(f"--budget: {error}.") from error


def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{threads} thread{'s' * (threads > 1)} of the CPU" if device.type == "cpu" else device.type


def _write_json(path: Path, content: Any) -> None:
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


@contextmanager
def shape_error() -> Iterator[None]:
    """Inside, what a network says about images of the wrong size is said to the user."""
    try:
        yield
    except ValueError as error:
        raise UserError(f"The network does not fit these images: {error}.") from error
