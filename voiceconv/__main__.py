"""The command line: `voiceconv --help`.

Heavy libraries are imported inside the commands, so that help and mistakes come at once. `voiceconv.cli.terminal` says
how a command ends.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiceconv import __version__
from voiceconv.cli.terminal import Parser, run_in_terminal
from voiceconv.convert.outputs import OUTPUT_EXTENSIONS, change_files, plan_outputs
from voiceconv.errors import UserError
from voiceconv.progress_line import ProgressLine
from voiceconv.user_data import HOME

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PRESETS = ("cpu", "cpu-from", "gpu", "maskcyclegan-vc", "smoke")
VOCODER_PRESETS = ("cpu", "gpu", "smoke")
VOCODER_HELP = "istft, hifigan, griffin-lim, or the folder of a vocoder"


def duration(text: str) -> float:
    """'90s', '60m', '1h30m' or '1.5h' -> seconds."""
    parts = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", text.strip().lower())
    seconds = sum(float(n or 0) * unit for n, unit in zip(parts.groups(), (3600, 60, 1), strict=True)) if parts else 0
    if seconds <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time; write it like 90s, 60m or 1h30m")
    return seconds


def pitch(text: str) -> float | str:
    """'auto' or semitones."""
    try:
        return text if text == "auto" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither 'auto' nor a number of semitones such as -3") from None


def spoken(text: str) -> tuple[Path, str | None]:
    """'DIR' or 'DIR:LANG' -> the folder, and the code of the language or None; a folder of that very name is itself."""
    parts = re.fullmatch(r"(.+):([a-z]{2,4})", text)
    return (Path(parts[1]), parts[2]) if parts and not Path(text).exists() else (Path(text), None)


def at_least_two(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count < 2:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of clips, 2 or more")
    return count


def seconds(text: str) -> float:
    return _number(text, lambda value: 0 < value < math.inf, "a length in seconds, over 0")


def decibels(text: str) -> float:
    return _number(text, lambda value: -120 <= value <= 0, "a level from -120 to 0 dB")


def _number(text: str, fits: Callable[[float], bool], wanted: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not fits(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    return value


def seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to {2**32 - 1}")
    return int(text)


def processes(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes from 1 to 256")
    return int(text)


def parser() -> Parser:
    """The whole command line; each sub-command's function is in `command`."""
    main = Parser(prog="voiceconv", description="Convert the voice in recordings, and train such voices.")
    main.add_argument("--version", action="version", version=f"voiceconv {__version__}")
    main.add_argument(
        "--home", metavar="DIR", help=f"folder of your own voices and trainings (default: ${HOME}, or your data folder)"
    )
    commands = main.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, run: Callable[[argparse.Namespace], int], text: str) -> Parser:
        command: Parser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        command.set_defaults(command=run)
        return command

    def add_in_and_out(command: Parser) -> None:
        command.add_argument("source", metavar="IN", type=Path, help="an audio file, or a folder with audio files")
        command.add_argument(
            "output",
            metavar="OUT",
            type=Path,
            help=f"a file ({' '.join(OUTPUT_EXTENSIONS)}) or a folder; for a folder IN, one that gets the same tree",
        )

    command = add("convert", convert, "speak a recording, or a folder of them, with another voice")
    add_in_and_out(command)
    command.add_argument("--to", required=True, metavar="VOICE", help="the voice to speak with, such as joe")
    command.add_argument("--model", default="allison-joe", metavar="NAME_OR_FOLDER", help="default: %(default)s")
    command.add_argument(
        "--pitch",
        type=pitch,
        default="auto",
        metavar="auto|N",
        help="semitones above (or, negative, under) the pitch that the voice speaks at by itself (default: auto, none)",
    )
    command.add_argument("--vocoder", metavar="NAME", help=f"{VOCODER_HELP} (default: the best one there is)")
    command.add_argument(
        "--jobs", type=processes, default=1, metavar="N", help="recordings of a folder at a time (default: %(default)s)"
    )

    command = add("live", live, "speak with another voice while you speak")
    command.add_argument("--to", metavar="VOICE", help="the voice to speak with, such as joe")
    command.add_argument("--model", default="allison-joe", metavar="NAME_OR_FOLDER", help="default: %(default)s")
    command.add_argument(
        "--pitch",
        type=float,
        default=0.0,
        metavar="N",
        help="semitones above (or, negative, under) the pitch that the voice speaks at by itself (default: none)",
    )
    command.add_argument(
        "--gate", type=decibels, default=-70.0, metavar="DB", help="softer than this is silence (default: %(default)s)"
    )
    command.add_argument("--microphone", metavar="DEVICE", help="number or part of the name (default: the system's)")
    command.add_argument("--loudspeaker", metavar="DEVICE", help="number or part of the name (default: the system's)")
    command.add_argument("--devices", action="store_true", help="list the sound devices and end")
    command.add_argument("--file", type=Path, metavar="IN", help="take a recording, in real time, for the microphone")
    command.add_argument("--out", type=Path, metavar="OUT", help="where to write what would be heard, with --file")

    command = add("resynth", resynth, "send recordings through mel-spectrogram and vocoder, to hear what those cost")
    add_in_and_out(command)
    command.add_argument("--vocoder", required=True, metavar="NAME", help=VOCODER_HELP)

    command = add("voices", voices, "list the voices there are, or hand one on as a single file")
    command.set_defaults(action="list")
    actions = command.add_subparsers(metavar="list|export|import", dest="action")
    actions.add_parser("list", help="the voices that came with this program and your own (what it does without a word)")
    action = actions.add_parser("export", help="write a voice as one file")
    action.add_argument("model", metavar="NAME_OR_FOLDER", help="a voice, or the run folder of a training")
    action.add_argument("file", metavar="FILE.voice", type=Path)
    action = actions.add_parser("import", help="add the voice in such a file to your own; it is checked before")
    action.add_argument("file", metavar="FILE.voice", type=Path)
    action.add_argument("--name", help="what to call it here (default: as it calls itself)")

    command = add("inspect", inspect, "report on a folder of recordings before anyone trains on it")
    command.add_argument("folder", metavar="DIR", type=Path)
    command.add_argument("other", metavar="OTHER", type=Path, nargs="?", help="a second speaker, to compare with")
    command.add_argument("--html", metavar="FILE", type=Path, help="also write the report as a page with pictures")

    random: dict[str, Any] = {"type": seed, "default": 0, "metavar": "N"}
    random["help"] = "of all that is drawn at random; another one is another run (default: %(default)s)"
    command = add("train", train, "learn to convert between two speakers from a folder of recordings of each")
    command.add_argument("folder_a", metavar="DIR_A", type=Path)
    command.add_argument("folder_b", metavar="DIR_B", type=Path)
    command.add_argument("--run", required=True, type=Path, metavar="RUN", help="folder for checkpoints and the voice")
    command.add_argument(
        "--preset", choices=PRESETS, default="cpu", help="default: %(default)s; smoke only checks that everything runs"
    )
    command.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    command.add_argument(
        "--from",
        dest="start_from",
        metavar="VOICE",
        help="start from a voice's weights: with --preset cpu-from, less data and half of the time are needed",
    )
    command.add_argument("--budget", type=duration, metavar="TIME", help="stop after, for example, 60m or 1h30m")
    command.add_argument("--seed", **random)

    command = add("evaluate", evaluate, "measure a voice on recordings that it was not trained on (`make eval` once)")
    command.add_argument("model", metavar="MODEL", help="name or folder of the voice")
    folder: dict[str, Any] = {"type": spoken, "metavar": "DIR[:LANG]"}
    command.add_argument("--source", required=True, **folder, help="recordings of one of its two speakers")
    command.add_argument("--target", required=True, **folder, help="recordings of the other")
    command.add_argument("--out", required=True, type=Path, metavar="REPORT", help="folder for page, JSON and sounds")
    command.add_argument(
        "--unseen", action="append", default=[], **folder, help="recordings of somebody else, to convert (repeatable)"
    )
    command.add_argument(
        "--baseline",
        action="append",
        default=[],
        metavar="NAME_OR_FOLDER",
        help="another voice of the same two speakers, to compare with (repeatable)",
    )
    command.add_argument("--one-way", action="store_true", help="leave out the way from the target to the source")
    command.add_argument(
        "--language",
        default="en",
        metavar="LANG",
        help="what is spoken where no :LANG is given, such as en or it; none leaves words out (default: %(default)s)",
    )
    command.add_argument(
        "--clips", type=at_least_two, default=40, metavar="N", help="at most, of each speaker (default: %(default)s)"
    )
    command.add_argument(
        "--seconds",
        type=seconds,
        nargs=2,
        default=(2.0, 5.0),
        metavar=("MIN", "MAX"),
        help="length of the clips (default: 2 5)",
    )
    chosen = command.add_mutually_exclusive_group()
    chosen.add_argument(
        "--clips-from",
        type=Path,
        metavar="FILE",
        help="JSON list of clips by speaker (default: those that the voice lists as kept from training)",
    )
    chosen.add_argument(
        "--all-clips", action="store_true", help="any clip in the folders: none of them was trained on, you are sure"
    )
    command.add_argument("--vocoder", metavar="NAME", help=f"{VOCODER_HELP} (default: the best one there is)")

    command = add(
        "train-vocoder", train_vocoder, "learn to turn mel-spectrograms back into sound, from folders of speech"
    )
    command.add_argument("folders", metavar="DIR", type=Path, nargs="+", help="recordings; a folder for each speaker")
    command.add_argument(
        "--run", required=True, type=Path, metavar="RUN", help="folder for checkpoints and the vocoder"
    )
    command.add_argument(
        "--preset",
        choices=VOCODER_PRESETS,
        default="cpu",
        help="default: %(default)s; smoke only checks that everything runs",
    )
    command.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    command.add_argument("--budget", type=duration, metavar="TIME", help="stop after, for example, 60m or 1h30m")
    command.add_argument("--seed", **random)
    command.add_argument(
        "--from", dest="start_from", metavar="FOLDER", help="fine-tune this vocoder instead of starting anew"
    )
    command.add_argument(
        "--mels-from", metavar="VOICE", help="also learn from mels that this voice's converter made of the recordings"
    )

    # Only for the list of commands: app.py reads its own options.
    commands.add_parser("app", help="open the page that records, converts and plays", add_help=False)
    return main


def convert(args: argparse.Namespace) -> int:
    pairs = plan_outputs(args.source, args.output)
    from voiceconv.convert.folder import Request, convert_folder, convert_one

    request = Request(args.model, args.to, args.pitch, args.vocoder)
    if args.source.is_dir():
        return convert_folder(args.source, args.output, pairs, request, args.jobs)
    converter, started = request.load(), time.perf_counter()
    ((source, output),) = pairs
    sound = convert_one(converter, request, source, output, ProgressLine())
    print(f"{source} -> {output} ({sound:.1f} s in {time.perf_counter() - started:.1f} s)")
    return 0


def live(args: argparse.Namespace) -> int:
    from voiceconv.cli import live_devices as live_terminal
    from voiceconv.errors import UserError

    if args.devices:
        print(live_terminal.list_devices())
        return 0
    if args.to is None:
        raise UserError("Say with which voice: --to joe, for example. `voiceconv voices` lists them.")
    if (args.file is None) != (args.out is None):
        raise UserError("--file IN and --out OUT go together.")
    if args.file is not None:
        plan_outputs(args.file, args.out)  # what cannot be written is refused before anything is played
    import torch

    from voiceconv.audio.files import load_audio
    from voiceconv.convert.converter import VoiceConverter

    torch.set_num_threads(1)  # so little at a time is faster on one core
    converter = VoiceConverter.from_pretrained(args.model, device="cpu")
    converter.stream(args.to)  # what cannot be streamed is refused before anybody speaks
    rate = converter.sample_rate
    if args.file is not None:
        heard = load_audio(args.file, rate)[: live_terminal.LEARNED_SECONDS * rate]
    else:
        heard = live_terminal.listen(rate, args.microphone)
    stream = converter.stream(args.to, converter.adapt(heard, args.to, args.pitch), silence_db=args.gate)
    if args.file is not None:
        print(live_terminal.speak_file(stream, args.file, args.out, rate, converter.comment(args.to)))
    else:
        live_terminal.speak(stream, rate, args.microphone, args.loudspeaker)
    return 0


def resynth(args: argparse.Namespace) -> int:
    """Copy-synthesis: no conversion sounds better than this."""
    pairs = plan_outputs(args.source, args.output)
    import numpy as np
    import torch

    from voiceconv.features.mel import MelConfig, MelSpectrogram
    from voiceconv.vocoder.base import load_vocoder

    mel_config = MelConfig()
    to_mel, vocoder = MelSpectrogram(mel_config), load_vocoder(args.vocoder, mel_config)

    @torch.inference_mode()
    def resynthesise(wav: NDArray[np.float32]) -> NDArray[np.float32]:
        spoken = vocoder(to_mel(torch.from_numpy(wav)[None]))[0].cpu().numpy()
        return np.pad(spoken, (0, max(0, len(wav) - len(spoken))))[: len(wav)]

    comment = f"resynthesised by voiceconv {__version__}, vocoder {vocoder.name}"
    return change_files(pairs, mel_config.sample_rate, resynthesise, comment)


def voices(args: argparse.Namespace) -> int:
    if args.action == "export":
        from voiceconv.voice.archive import export_voice

        export_voice(args.model, args.file)
        print(f"The voice {args.model} is in {args.file} ({args.file.stat().st_size / 1e6:.1f} MB).")
        return 0
    if args.action == "import":
        from voiceconv.convert.import_voice import import_voice

        name = import_voice(args.file, args.name)
        print(f"{args.file} is now one of your voices: {name}. Convert with --model {shlex.quote(name)}.")
        return 0
    from voiceconv.voice.voice import Voice, available_voices

    for name in available_voices():
        print(name)
        try:
            speakers = Voice.load(name).speakers
        except UserError as error:  # one damaged folder does not hide the others
            print(f"  cannot be used: {error}")
            continue
        for speaker in speakers:
            print(f"  {speaker.name}: {speaker.description} ({speaker.licence}; {speaker.credits})")
    return 0


def inspect(args: argparse.Namespace) -> int:
    from voiceconv.inspection.inspect import compare, inspect_folder

    inspection = inspect_folder(args.folder)
    print(inspection.text())
    if args.html is not None:
        inspection.save_html(args.html)
        print(f"\nThe same with pictures: {args.html}")
    if args.other is not None:
        other = inspect_folder(args.other)
        print(f"\n{other.text()}\n\nAs a pair")
        print("\n".join(f"  {sentence}" for sentence in compare(inspection, other)))
    return 0


def train(args: argparse.Namespace) -> int:
    def run() -> bool:
        from voiceconv.training.train import train as train_voice

        return train_voice(
            args.folder_a,
            args.folder_b,
            args.run,
            preset=args.preset,
            resume=args.resume,
            budget_seconds=args.budget,
            seed=args.seed,
            start_from=args.start_from,
        )

    return _at_work_on(args.run, run, "voice")


def evaluate(args: argparse.Namespace) -> int:
    from voiceconv.evaluation.evaluate import Settings, markdown
    from voiceconv.evaluation.evaluate import evaluate as measure
    from voiceconv.evaluation.held_out_clips import Folder

    def folder(given: tuple[Path, str | None]) -> Folder:
        language = given[1] or args.language
        return Folder(given[0], None if language == "none" else language)

    record = measure(
        Settings(
            model=args.model,
            source=folder(args.source),
            target=folder(args.target),
            out=args.out,
            unseen=tuple(folder(given) for given in args.unseen),
            baselines=tuple(args.baseline),
            one_way=args.one_way,
            clips=args.clips,
            seconds=(args.seconds[0], args.seconds[1]),
            clips_from=args.clips_from,
            all_clips=args.all_clips,
            vocoder=args.vocoder,
        )
    )
    print("\n\n".join(markdown(direction) for direction in record["directions"]))
    print(f"\nMeans with 95 % intervals. Everything, with players: {args.out / 'evaluation.html'}")
    return 0


def train_vocoder(args: argparse.Namespace) -> int:
    def run() -> bool:
        from voiceconv.vocoder_training.train import train_vocoder as train

        return train(
            args.folders,
            args.run,
            preset=args.preset,
            resume=args.resume,
            budget_seconds=args.budget,
            seed=args.seed,
            start_from=args.start_from,
            mels_from=args.mels_from,
        )

    return _at_work_on(args.run, run, "vocoder")


def _at_work_on(folder: Path, training: Callable[[], bool], made: str) -> int:
    """Runs a training that leaves `made` in its run folder."""
    from voiceconv.training.jobs import at_work_on

    finished = at_work_on(folder, training)
    print(f"The {made} is in {folder / made}, the report in {folder / 'report.html'}.")
    if not finished:
        print("It is not done: the same command with --resume goes on from here.")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; the exit status."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if argv[:1] == ["app"]:
        from app import main as open_page

        return open_page(argv[1:])
    args = parser().parse_args(argv)
    if not hasattr(args, "command"):
        parser().error("the page's own options come after app: voiceconv app --home DIR")
    if args.home is not None:
        os.environ[HOME] = args.home
    return run_in_terminal(lambda: args.command(args))


if __name__ == "__main__":
    sys.exit(main())
