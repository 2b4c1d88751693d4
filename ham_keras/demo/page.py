"""The demo page: its layout and its event handlers."""

from __future__ import annotations

import threading
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from ham_keras.data.images import read_image
from ham_keras.data.phantoms.photograph import draw_phantom
from ham_keras.demo.display import Diagnose, DisplayedImage, render_results, segment_for_display, thumbnail
from ham_keras.errors import HamError
from ham_keras.files import load_json
from ham_keras.prediction.ensemble import Ensemble
from ham_keras.prediction.predictor import Predictor, count_pixels
from ham_keras.scores.bootstrap import show_interval
from ham_keras.settings import FEWEST_LESIONS, Outline

LARGEST_MB = 50  # of an uploaded file
LARGEST_PIXELS = 80_000_000
SESSIONS = 32  # kept at once; the least recently used is dropped first
KEPT_SECONDS = 1800  # how long an image can be post-processed again
CONCURRENT_EVENTS = 4  # the network itself runs one image at a time
QUEUE_SIZE = 64
EXAMPLES = 6
EXAMPLE_SEED = 11
STYLE = Path(__file__).with_name("page.css")
CHOOSE_EXAMPLE = """element.addEventListener("click", event => {
  const button = event.target.closest("button");
  if (button) trigger("click", {index: Number(button.dataset.index)});
});"""
NO_RESULTS = '<div class="empty">Drop a dermoscopy image or choose a phantom:<br>its outline, the probability map and \
the measurements appear here.</div>'
Outputs = tuple[DisplayedImage | None, Any, str]  # the image to keep, a message, the results


class EventHandlers:
    """The page's event handlers for one network. Images are kept in memory, never on disk."""

    def __init__(self, predictor: Predictor, diagnose: Diagnose | None = None) -> None:
        self.predictor = predictor
        self.diagnose = diagnose
        self.lock = threading.Lock()
        self.examples = [draw_phantom(EXAMPLE_SEED, index, index, (600, 450))[0] for index in range(EXAMPLES)]
        predictor.answer(self.examples[0])  # the first call is slow because it traces the graph

    def open_upload(self, upload: dict[str, Any], threshold: float, largest: bool, holes: bool) -> Outputs:
        """Read an uploaded file, delete it, and segment the image."""
        path, name = Path(upload["path"]), Path(upload["orig_name"] or upload["path"]).name
        try:
            image = read_upload(path)
        except HamError as error:
            return None, render_message(str(error).replace(str(path), name)), NO_RESULTS
        finally:
            path.unlink(missing_ok=True)
        return self._segment(name, image, _outline(threshold, largest, holes))

    def open_example(self, event: gr.EventData, threshold: float, largest: bool, holes: bool) -> Outputs:
        index = int(event.index)
        return self._segment(f"phantom_{index + 1}.png", self.examples[index], _outline(threshold, largest, holes))

    def update_outline(self, image: DisplayedImage | None, threshold: float, largest: bool, holes: bool) -> str:
        """Post-process the kept probabilities again, without running the network."""
        if image is None:
            return NO_RESULTS
        return render_results(image, _outline(threshold, largest, holes), self.diagnose)

    def _segment(self, name: str, pixels: np.ndarray, outline: Outline) -> Outputs:
        with self.lock:
            image = segment_for_display(self.predictor, name, pixels)
        return image, render_message(""), render_results(image, outline, self.diagnose)


def _outline(threshold: float, largest: bool, holes: bool) -> Outline:
    """The controls' settings. Mirror images are averaged earlier, when the network runs."""
    return Outline(threshold=threshold, keep_largest=largest, fill_holes=holes)


def build_page(ensemble: Ensemble, predictor: Predictor, *, local: bool, diagnose: Diagnose | None = None) -> gr.Blocks:
    """Build the page of a run or an ensemble.

    `local` means reachable only from this machine; `diagnose` adds bars of the diagnoses.
    """
    handlers, outline = EventHandlers(predictor, diagnose), predictor.outline
    with gr.Blocks(title="Skin lesion outline", analytics_enabled=False, delete_cache=(60, 60)) as page:
        image = gr.State(None, time_to_live=KEPT_SECONDS)
        gr.HTML(render_header(ensemble, local=local, tta=outline.tta))
        with gr.Row():
            with gr.Column(scale=1, min_width=300):
                drop = gr.File(label=f"Dermoscopy image, at most {LARGEST_MB} MB", height=150, elem_id="drop")
                message = render_message("")
                examples = gr.HTML(render_examples(handlers.examples), js_on_load=CHOOSE_EXAMPLE)
                threshold = gr.Slider(
                    0.01, 0.99, outline.threshold, step=0.01, label="Threshold",
                    info="A pixel is lesion if its probability is above the threshold. "
                         f"The {'run was' if len(ensemble.members) == 1 else 'first run was'} scored at "
                         f"{ensemble.config.outline.threshold:g}.",
                )  # fmt: skip
                largest = gr.Checkbox(outline.keep_largest, label="Keep only the largest part")
                holes = gr.Checkbox(outline.fill_holes, label="Fill holes")
            with gr.Column(scale=2, min_width=300):
                results = gr.HTML(NO_RESULTS)
        controls = [threshold, largest, holes]
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress_on": results, "scroll_to_output": True}
        outputs = [image, message, results]
        # Gradio's preprocessing would leave an empty file behind.
        drop.upload(handlers.open_upload, [drop, *controls], outputs, preprocess=False, **quiet).then(
            lambda: None, None, drop, show_progress="hidden", api_visibility="private"
        )
        examples.click(handlers.open_example, controls, outputs, **quiet)
        gr.on(
            [threshold.change, largest.change, holes.change], handlers.update_outline, [image, *controls], results,
            trigger_mode="always_last", show_progress="hidden", api_visibility="private",
        )  # fmt: skip

        def forget(request: gr.Request) -> None:
            """Delete the state of a closed page, which Gradio would keep for an hour."""
            page.state_holder.session_data.pop(str(request.session_hash), None)

        page.unload(forget)
    return page.queue(max_size=QUEUE_SIZE, default_concurrency_limit=CONCURRENT_EVENTS)


def launch_page(page: gr.Blocks, host: str, port: int, auth: tuple[str, str] | None = None) -> str:
    """Start serving and return the address. Features that the environment could turn on are turned off."""
    theme = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]).set(
        body_text_color_subdued="*neutral_600", body_text_color_subdued_dark="*neutral_400",
        block_info_text_color="*neutral_600", block_info_text_color_dark="*neutral_400",
    )  # fmt: skip
    _, url, _ = page.launch(
        server_name=host, server_port=port, prevent_thread_lock=True, quiet=True, inbrowser=False, share=False,
        run_history=False, enable_monitoring=False, mcp_server=False, ssr_mode=False, pwa=False, footer_links=[],
        max_file_size=f"{LARGEST_MB}mb", state_session_capacity=SESSIONS, theme=theme, css_paths=STYLE,
        auth=auth,
    )  # fmt: skip
    return url


def read_upload(path: Path) -> np.ndarray:
    """Read an uploaded file to uint8 RGB [H, W, 3].

    Raises:
        HamError: it is broken, too large, or already deleted: Gradio names uploads by content, so two pages that
            upload the same file at the same moment share it.
    """
    if not path.exists():
        raise HamError(f"{path}: another page uploaded the same file at the same moment; drop it again")
    if count_pixels(path) > LARGEST_PIXELS:
        raise HamError(f"{path}: has more than {LARGEST_PIXELS / 1e6:.0f} million pixels; make it smaller")
    return read_image(path)


def render_header(ensemble: Ensemble, *, local: bool, tta: bool = False) -> str:
    """The page's header: the network or networks, their test scores and the intended use."""
    sizes = dict.fromkeys(tuple(member.config.data.image_size) for member in ensemble.members)
    network = f"network {', '.join(f'{width_px} × {height_px}' for height_px, width_px in sizes)} px"
    facts = [f"Run <b>{escape(ensemble.name)}</b>", network]
    if len(ensemble.members) > 1:
        facts[0] = f"Mean of {len(ensemble.members)} runs: <b>{escape(', '.join(ensemble.names))}</b>"
    if tta:
        facts.append("mean over the image and its mirror images")
    if ensemble.home is not None and ensemble.home.summary("test").exists():
        summary = load_json(ensemble.home.summary("test"))
        jaccard = summary["native"]["jaccard"]
        facts.append(
            f"mean Jaccard {jaccard['mean']:.4f} (95 % interval {show_interval(jaccard['interval'])}) "
            f"on {summary['images']} test images"
            + (f" of {summary['lesions']} lesions, too few" if summary["lesions"] < FEWEST_LESIONS else "")
        )
    where = "Images stay on this machine" if local else "Images are sent only to this page's server"
    return f"""<header class="head"><h1>Skin lesion outline</h1><p>{" · ".join(facts)}</p>
<p class="notice"><b>Research use; not a medical device.</b> {where}; nothing is stored.</p></header>"""


def render_examples(examples: list[np.ndarray]) -> str:
    buttons = "".join(
        f'<button type="button" data-index="{index}" aria-label="Phantom {index + 1}">'
        f'<img src="{thumbnail(image, 180)}" alt=""></button>'
        for index, image in enumerate(examples)
    )
    return f'<section class="examples"><h2>Or try a phantom, drawn by a program</h2><div>{buttons}</div></section>'


def render_message(text: str) -> Any:
    """An error message, hidden if the text is empty."""
    return gr.HTML(f'<div class="alert" role="alert">{escape(text)}</div>' if text else "", visible=bool(text))
