"""The demo page: what stands on it, and what happens when something on it is used."""

from __future__ import annotations

import threading
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from ham_keras.config import Config
from ham_keras.data.images import read_image
from ham_keras.data.phantoms.photograph import draw_phantom
from ham_keras.demo.photograph import Photograph, segment_photograph, show_photograph, thumbnail
from ham_keras.errors import HamError
from ham_keras.files import load_json
from ham_keras.prediction.predictor import Segmenter, count_pixels
from ham_keras.runs import Run
from ham_keras.scores.bootstrap import show_interval
from ham_keras.settings import Outline

LARGEST_MB = 50  # of an uploaded file
LARGEST_PIXELS = 80_000_000
SESSIONS = 32  # that are remembered at once, the least recent is forgotten first
KEPT_SECONDS = 1800  # that an image can be outlined anew
AT_ONCE = 4  # answers in the making; the network itself is asked one after the other
WAITING = 64
EXAMPLES = 6
EXAMPLE_SEED = 11
STYLE = Path(__file__).with_name("page.css")
CHOOSE_EXAMPLE = """element.addEventListener("click", event => {
  const button = event.target.closest("button");
  if (button) trigger("click", {index: Number(button.dataset.index)});
});"""
NOTHING_YET = '<div class="empty">Drop a dermoscopy image or choose a phantom:<br>its outline, the probability map and \
the measurements appear here.</div>'
Answer = tuple[Photograph | None, Any, str]  # what is kept, a message, the results


class Desk:
    """What the page asks for, of one network; images in memory, none on disk."""

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter
        self.network = threading.Lock()
        self.examples = [draw_phantom(EXAMPLE_SEED, index, index, (600, 450))[0] for index in range(EXAMPLES)]
        segmenter.answer(self.examples[0])  # the first answer takes the longest: nobody is to wait for it

    def take_upload(self, upload: dict[str, Any], threshold: float, largest: bool, holes: bool) -> Answer:
        """Read an uploaded file, delete it, and outline it."""
        path, name = Path(upload["path"]), Path(upload["orig_name"] or upload["path"]).name
        try:
            image = read_upload(path)
        except HamError as error:
            return None, show_message(str(error).replace(str(path), name)), NOTHING_YET
        finally:
            path.unlink(missing_ok=True)
        return self._segment(name, image, _outline(threshold, largest, holes))

    def take_example(self, event: gr.EventData, threshold: float, largest: bool, holes: bool) -> Answer:
        index = int(event.index)
        return self._segment(f"phantom_{index + 1}.png", self.examples[index], _outline(threshold, largest, holes))

    def outline(self, photograph: Photograph | None, threshold: float, largest: bool, holes: bool) -> str:
        """Outline anew what the network has answered before."""
        if photograph is None:
            return NOTHING_YET
        return show_photograph(photograph, _outline(threshold, largest, holes))

    def _segment(self, name: str, image: np.ndarray, outline: Outline) -> Answer:
        with self.network:
            photograph = segment_photograph(self.segmenter, name, image)
        return photograph, show_message(""), show_photograph(photograph, outline)


def _outline(threshold: float, largest: bool, holes: bool) -> Outline:
    """What the controls say; mirror images are the network's matter and were averaged before."""
    return Outline(threshold=threshold, keep_largest=largest, fill_holes=holes)


def build_page(run: Run, config: Config, segmenter: Segmenter, *, local: bool) -> gr.Blocks:
    """The page of a run; `local` where only this machine can reach it."""
    desk, outline = Desk(segmenter), segmenter.outline
    with gr.Blocks(title="Skin lesion outline", analytics_enabled=False, delete_cache=(60, 60)) as page:
        photograph = gr.State(None, time_to_live=KEPT_SECONDS)
        gr.HTML(show_head(run, config, local=local, tta=outline.tta))
        with gr.Row():
            with gr.Column(scale=1, min_width=300):
                drop = gr.File(label=f"Dermoscopy image, at most {LARGEST_MB} MB", height=150, elem_id="drop")
                message = show_message("")
                examples = gr.HTML(show_examples(desk.examples), js_on_load=CHOOSE_EXAMPLE)
                threshold = gr.Slider(
                    0.01, 0.99, outline.threshold, step=0.01, label="Threshold",
                    info=f"Lesion is where the probability is above it; the run was scored at "
                         f"{config.outline.threshold:g}.",
                )  # fmt: skip
                largest = gr.Checkbox(outline.keep_largest, label="Keep the largest part alone")
                holes = gr.Checkbox(outline.fill_holes, label="Fill holes")
            with gr.Column(scale=2, min_width=300):
                results = gr.HTML(NOTHING_YET)
        how = [threshold, largest, holes]
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress_on": results, "scroll_to_output": True}
        shown = [photograph, message, results]
        # Without preprocessing, for which Gradio would leave an empty file behind.
        drop.upload(desk.take_upload, [drop, *how], shown, preprocess=False, **quiet).then(
            lambda: None, None, drop, show_progress="hidden", api_visibility="private"
        )
        examples.click(desk.take_example, how, shown, **quiet)
        gr.on(
            [threshold.change, largest.change, holes.change], desk.outline, [photograph, *how], results,
            trigger_mode="always_last", show_progress="hidden", api_visibility="private",
        )  # fmt: skip

        def forget(request: gr.Request) -> None:
            """Drop what Gradio keeps of a page that was closed, which it would for an hour."""
            page.state_holder.session_data.pop(str(request.session_hash), None)

        page.unload(forget)
    return page.queue(max_size=WAITING, default_concurrency_limit=AT_ONCE)


def launch_page(page: gr.Blocks, host: str, port: int) -> str:
    """Start serving; returns the address. What the environment or a later Gradio could switch on is off."""
    theme = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]).set(
        body_text_color_subdued="*neutral_600", body_text_color_subdued_dark="*neutral_400",
        block_info_text_color="*neutral_600", block_info_text_color_dark="*neutral_400",
    )  # fmt: skip
    _, url, _ = page.launch(
        server_name=host, server_port=port, prevent_thread_lock=True, quiet=True, inbrowser=False, share=False,
        run_history=False, enable_monitoring=False, mcp_server=False, ssr_mode=False, pwa=False, footer_links=[],
        max_file_size=f"{LARGEST_MB}mb", state_session_capacity=SESSIONS, theme=theme, css_paths=STYLE,
    )  # fmt: skip
    return url


def read_upload(path: Path) -> np.ndarray:
    """Read an uploaded file to uint8 RGB [H, W, 3].

    Raises:
        HamError: it is broken, too large, or deleted: Gradio names uploads by their content, so who drops the same
            file in the same instant shares it.
    """
    if not path.exists():
        raise HamError(f"{path}: another page was sent the same file in the same instant; drop it again")
    if count_pixels(path) > LARGEST_PIXELS:
        raise HamError(f"{path}: has more than {LARGEST_PIXELS / 1e6:.0f} million pixels; make it smaller")
    return read_image(path)


def show_head(run: Run, config: Config, *, local: bool, tta: bool = False) -> str:
    """What network this is, how good it was, and what the page is not."""
    height_px, width_px = config.data.image_size
    facts = [f"Run <b>{escape(run.folder.resolve().name)}</b>", f"network {width_px} × {height_px} px"]
    if tta:
        facts.append("mean over the image and its mirror images")
    if run.summary("test").exists():
        summary = load_json(run.summary("test"))
        jaccard = summary["native"]["jaccard"]
        facts.append(
            f"mean Jaccard {jaccard['mean']:.4f} (95 % interval {show_interval(jaccard['interval'])}) "
            f"on {summary['images']} test images"
        )
    where = "Images stay on this machine" if local else "Images go to this page's server and no further"
    return f"""<header class="head"><h1>Skin lesion outline</h1><p>{" · ".join(facts)}</p>
<p class="notice"><b>Research use; not a medical device.</b> {where}; nothing is stored.</p></header>"""


def show_examples(examples: list[np.ndarray]) -> str:
    buttons = "".join(
        f'<button type="button" data-index="{index}" aria-label="Phantom {index + 1}">'
        f'<img src="{thumbnail(image, 180)}" alt=""></button>'
        for index, image in enumerate(examples)
    )
    return f'<section class="examples"><h2>Or try a phantom: drawn, of no patient</h2><div>{buttons}</div></section>'


def show_message(text: str) -> Any:
    """What went wrong; nothing went wrong where the text is empty."""
    return gr.HTML(f'<div class="alert" role="alert">{escape(text)}</div>' if text else "", visible=bool(text))
