"""Translates pictures with what pix2pix or CycleGAN have learned.

    python -m recipes.translate RUN IN OUT               a picture, or a folder of pictures into the same tree
    python -m recipes.translate RUN IN OUT --direction ba
    python -m recipes.translate RUN --onnx model.onnx    writes the generator for use without PyTorch
    python -m recipes.translate RUN --app                a page to try it on

RUN is the folder of a run of `recipes.pix2pix` or `recipes.cyclegan`, or a generator saved by the reference
implementation (`latest_net_G.pth`, `latest_net_G_A.pth`; ResNet or U-Net, instance or batch normalisation). Pictures
keep their size; those larger than `--tile` pixels are translated in tiles that overlap, without seams.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro
from PIL import Image

from generative_core.export import export_onnx
from generative_core.training.trainer import choose_device
from recipes.common.command import run_recipe
from recipes.common.image_data import EXTENSIONS
from recipes.common.translation_data import Direction, open_or_refuse, pictures_in
from recipes.common.translator import Translator, load_translators
from voiceconv.errors import UserError

if TYPE_CHECKING:
    import gradio as gr

NAMES: dict[Direction, str] = {"ab": "A to B", "ba": "B to A"}


@dataclass(frozen=True)
class TranslateConfig:
    """Translates pictures, exports the generator or opens a page."""

    run: tyro.conf.Positional[Path]
    """Folder of a run, or a .pth file of the reference implementation."""
    source: tyro.conf.Positional[Path | None] = None
    """A picture or a folder."""
    out: tyro.conf.Positional[Path | None] = None
    """The picture or the folder to write."""
    direction: Direction = "ab"
    """Which of CycleGAN's two generators: A to B, or B to A."""
    tile: int | None = None
    """Pictures with a longer side, in pixels, are translated in tiles; unless given 512, or the size of a U-Net."""
    device: str = "auto"
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
        build_page(translators).launch(show_error=True)
    elif config.source is None or config.out is None:
        raise UserError("Say what to translate, and where to: RUN IN OUT. Or use --onnx FILE or --app.")
    elif config.source.is_dir():
        for path in pictures_in(config.source, inner=True):
            out = (config.out / path.relative_to(config.source)).with_suffix(".png")
            translate_file(translator, path, out)
    else:
        translate_file(translator, config.source, config.out)


def translate_file(translator: Translator, path: Path, out: Path) -> None:
    if out.suffix.lower() not in EXTENSIONS:
        raise UserError(f"{out} should end in one of {', '.join(sorted(EXTENSIONS))}.")
    out.parent.mkdir(parents=True, exist_ok=True)
    translator(open_or_refuse(path)).save(out)
    print(out, flush=True)


def build_page(translators: Mapping[Direction, Translator]) -> gr.Blocks:
    """A page with a picture to upload, a direction if there are two, and the translation."""
    import gradio as gr

    def translate(picture: Image.Image | None, direction: str) -> Image.Image:
        if picture is None:
            raise gr.Error("There is nothing to translate yet: upload a picture.")
        return translators[next(key for key, name in NAMES.items() if name == direction)](picture)

    with gr.Blocks(title="Translate pictures", analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.Markdown("# Translate pictures")
        names = [NAMES[direction] for direction in translators]
        direction = gr.Radio(names, value=names[0], label="Direction", visible=len(names) > 1)
        with gr.Row():
            source = gr.Image(type="pil", label="Picture", image_mode="RGB")
            result = gr.Image(type="pil", label="Translation", format="png", interactive=False)
        gr.Button("Translate", variant="primary").click(translate, [source, direction], result, api_name="translate")
    return page


if __name__ == "__main__":
    sys.exit(run_recipe(TranslateConfig, main, __doc__))
