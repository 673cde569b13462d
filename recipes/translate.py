"""Translates pictures with a trained pix2pix or CycleGAN.

    python -m recipes.translate RUN IN OUT               a picture, or a folder of pictures into the same tree
    python -m recipes.translate RUN IN OUT --direction ba
    python -m recipes.translate RUN --onnx model.onnx    writes the generator for use without PyTorch
    python -m recipes.translate RUN --app                a page to try it on

RUN is the folder of a run of `recipes.pix2pix` or `recipes.cyclegan`, or a generator saved by the reference
implementation (`latest_net_G.pth`, `latest_net_G_A.pth`; ResNet or U-Net, instance or batch normalisation). Pictures
keep their size; those larger than `--tile` pixels are translated in overlapping tiles, without seams. Originals are
never overwritten. Pictures of a folder that cannot be read are named at the end, with the exit status 2. A picture of
512x512 pixels takes about ten seconds on one core with the paper's ResNet.

RUN may also be the name of a pix2pix model that came with the program. Such a model draws whole pictures at one size.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro
from PIL import Image

from generative_core.export import export_onnx
from generative_core.files import write_atomically
from generative_core.training.trainer import choose_device
from recipes.common.command import run_recipe
from recipes.common.picture_files import find_pictures, name_key, read_picture
from recipes.common.translation_data import Direction
from recipes.common.translator import Translator, load_translators
from voiceconv.errors import UserError, explain

if TYPE_CHECKING:
    import gradio as gr

NAMES: dict[Direction, str] = {"ab": "A to B", "ba": "B to A"}
RESULT_EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")


@dataclass(frozen=True)
class TranslateConfig:
    """Translates pictures, exports the generator or opens a page."""

    run: tyro.conf.Positional[Path]
    """Folder of a run, a .pth file of the reference implementation, or the name of a shipped model."""
    source: tyro.conf.Positional[Path | None] = None
    """A picture or a folder."""
    out: tyro.conf.Positional[Path | None] = None
    """The picture or the folder to write."""
    direction: Direction = "ab"
    """Direction of the translation; CycleGAN has a generator for each."""
    tile: int | None = None
    """Side of a tile in pixels; larger pictures are translated in tiles. Unless given: 512, or the size of a U-Net."""
    device: str = "auto"
    """Device to compute on: auto, cpu, cuda or mps."""
    onnx: Path | None = None
    """Write the generator to this file, with height and width left open; needs the extra onnx."""
    app: bool = False
    """Open a page on http://127.0.0.1:7860."""


def main(config: TranslateConfig) -> None:
    translators = load_translators(config.run, config.tile, choose_device(config.device))
    if config.direction not in translators:
        raise UserError(f"{config.run} only translates {NAMES[next(iter(translators))]}.")
    translator = translators[config.direction]
    if config.onnx is not None:
        generator = translator.generator
        try:
            difference = export_onnx(generator, config.onnx, planes=translator.planes, multiple=generator.multiple)
        except ImportError as error:
            raise UserError(f"{error.name} is missing: pip install '.[onnx]'.") from error
        print(f"{config.onnx} gives the same pictures in ONNX Runtime, to {difference:.1e}.")
    elif config.app:
        open_page(translators)
    elif config.source is None or config.out is None:
        raise UserError("Say what to translate, and where to: RUN IN OUT. Or use --onnx FILE or --app.")
    elif config.source.is_dir():
        translate_folder(translator, config.source, config.out)
    else:
        translate_file(translator, config.source, config.out)


def translate_file(translator: Translator, source: Path, out: Path) -> None:
    """Translates one picture to the file `out`, or into it if that is a folder; raises `UserError`."""
    if out.is_dir():
        out = out / f"{source.stem}.png"
    if out.suffix.lower() not in RESULT_EXTENSIONS:
        raise UserError(f"{out} should end in one of {', '.join(RESULT_EXTENSIONS)}, or be a folder.")
    require_other_files([source], [out])
    save_translation(translator, source, out)


def translate_folder(translator: Translator, source: Path, out: Path) -> None:
    """Translates every picture in a folder and below it into the same tree in `out`, as PNG.

    A picture that fails does not stop the others. Those that failed are named in the `UserError` at the end.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{source} is a folder, so the output must be one too, but {out} is a file.")
    if out.resolve() == source.resolve():
        raise UserError(f"The results would lie among the pictures in {source}. Name another folder for them.")
    # What an earlier run left in an output folder inside the input folder is not to be translated again.
    pictures = [path for path in find_pictures(source, inner=True) if out.resolve() not in path.resolve().parents]
    if not pictures:
        raise UserError(f"All pictures in {source} are in {out}, where the results go. Name another folder.")
    results = [out / name for name in result_names([path.relative_to(source) for path in pictures])]
    require_other_files(pictures, results)
    failures = []
    for picture, result in zip(pictures, results, strict=True):
        try:
            save_translation(translator, picture, result)
        except Exception as error:
            if (reason := explain(error)) is None:
                raise
            failures.append(reason if str(picture) in reason else f"{picture}: {reason}")
    if failures:
        count = f"{len(failures)} of {len(pictures)} pictures failed, the others are done:"
        raise UserError("\n".join([count, *failures]))


def result_names(pictures: Sequence[Path]) -> list[Path]:
    """The names of the results of pictures, relative to their folders: PNG, and no two alike on any file system.

    `a.png` stays that, `a.jpg` becomes `a.png`, or `a.jpg.png` where both are there.
    """
    names: dict[Path, Path] = {}
    taken: set[str] = set()
    for path in sorted(pictures, key=lambda path: path.suffix.lower() != ".png"):
        name = path.with_suffix(".png")
        while name_key(str(name)) in taken:
            name = path.with_name(f"{path.name if name == path.with_suffix('.png') else name.name}.png")
        taken.add(name_key(str(name)))
        names[path] = name
    return [names[path] for path in pictures]


def require_other_files(pictures: Sequence[Path], results: Sequence[Path]) -> None:
    """Raises `UserError` if a result would take the place of a picture to translate, under whatever name."""
    originals = {(status.st_dev, status.st_ino) for path in pictures if path.exists() for status in [path.stat()]}
    for result in results:
        if result.exists() and (result.stat().st_dev, result.stat().st_ino) in originals:
            raise UserError(f"The result would overwrite the picture {result}. Give the output another name.")


def save_translation(translator: Translator, source: Path, out: Path) -> None:
    """Reads, translates and writes one picture; what is at `out` is complete or as it was."""
    translation = translator(read_picture(source))
    content = io.BytesIO()
    try:
        translation.save(content, Image.registered_extensions()[out.suffix.lower()])
    except (OSError, ValueError) as error:  # a side may be longer than a format knows
        raise UserError(f"{out} cannot be written: {error}. Choose another format, like .png.") from error
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, content.getvalue())
    print(out, flush=True)


def open_page(translators: Mapping[Direction, Translator], *, block: bool = True) -> gr.Blocks:
    """Serves the page on this computer, until it is stopped unless told not to `block`."""
    os.environ["no_proxy"] = "*"  # Gradio asks its own page whether it is there, which no proxy can
    page = build_page(translators)
    page.launch(show_error=True, prevent_thread_lock=not block)
    return page


def build_page(translators: Mapping[Direction, Translator]) -> gr.Blocks:
    """A page with a picture to upload, a direction if there are two, and the translation."""
    import gradio as gr

    def translate(path: str | None, direction: str) -> Image.Image:
        if path is None:
            raise gr.Error("There is nothing to translate yet: upload a picture.")
        try:
            picture = read_picture(Path(path))
        except UserError as error:
            raise gr.Error(str(error)) from error
        return translators[next(key for key, name in NAMES.items() if name == direction)](picture)

    with gr.Blocks(title="Translate pictures", analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.Markdown("# Translate pictures")
        names = [NAMES[direction] for direction in translators]
        direction = gr.Radio(names, value=names[0], label="Direction", visible=len(names) > 1)
        with gr.Row():
            source = gr.Image(type="filepath", label="Picture", image_mode=None)
            result = gr.Image(type="pil", label="Translation", format="png", interactive=False)
        gr.Button("Translate", variant="primary").click(translate, [source, direction], result, api_name="translate")
    return page


if __name__ == "__main__":
    sys.exit(run_recipe(TranslateConfig, main, __doc__))
