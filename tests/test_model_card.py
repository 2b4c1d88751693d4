"""The tables of the model card match the result files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ham_keras.files import load_json
from ham_keras.scores.bootstrap import show_interval

CARD = Path("docs/model-card.md").read_text()
DIAGNOSES = {
    "nv": "naevus", "mel": "melanoma", "df": "dermatofibroma", "vasc": "vascular", "akiec": "actinic keratosis",
    "bkl": "benign keratosis", "bcc": "basal cell carcinoma",
}  # fmt: skip


def test_figures_by_diagnosis_match() -> None:
    found = load_json(Path("docs/runs/best/scores/flips/summary.json"))
    assert found["by_diagnosis"].keys() == DIAGNOSES.keys()
    assert sum(group["images"] for group in found["by_diagnosis"].values()) == found["images"]
    rows = []
    for name, group in sorted(found["by_diagnosis"].items(), key=lambda item: -item[1]["jaccard"]["mean"]):
        interval = show_interval(group["jaccard"]["interval"], group["lesions"])
        rows.append(
            f"| {DIAGNOSES[name]} | {group['images']} | {group['jaccard']['mean']:.4f} | {interval} | "
            f"{group['below_0.65']:.0%} |".replace("% |", " % |")
        )
    assert "\n".join(rows) in CARD
    assert f"{100 * found['native']['below_0.65']:.1f} % of the images are below 0.65" in CARD


def tone_row(group: dict[str, Any]) -> str:
    row = f"| {group['tone']} | {group['images']:,} | {group['share']:.1%}".replace("%", " %")
    if "jaccard" not in group:
        return f"{row} | 0 | | |"
    return f"{row} | {group['scored']} | {group['jaccard']:.4f} | {show_interval(group['interval'])} |"


def test_figures_by_skin_tone_match() -> None:
    found = load_json(Path("benchmarks/results/skin_tone.json"))
    assert sum(group["images"] for group in found["classes"]) == found["images"] == 5078
    assert "\n".join(tone_row(group) for group in found["classes"]) in CARD
    dark = [group for group in found["classes"] if group["tone"] in {"tan", "brown", "dark"}]
    assert f"hold {sum(group.get('scored', 0) for group in dark)} scored images" in CARD
    assert round(sum(group["share"] for group in dark), 2) == 0.02
    assert found["lightness_percentiles"]["1"] > 54


def test_result_matches_the_table_of_results() -> None:
    rows = load_json(Path("docs/results.json"))
    (ours,) = (row for row in rows if row["name"].endswith("best.json: MobileNet, mirror images averaged"))
    assert f"**{ours['mean']:.4f}** (95 % interval {show_interval(ours['interval'])})" in CARD


def test_figures_of_the_diagnoses_match() -> None:
    card, found = (
        Path("docs/model-card-diagnosis.md").read_text(),
        load_json(Path("docs/runs/diagnosis-boosted/summary.json")),
    )
    rows = []
    for name, group in sorted(found["by_diagnosis"].items(), key=lambda item: -item[1]["sensitivity"]):
        interval = show_interval(group["sensitivity_interval"], group["lesions"], decimals=2)
        scores = f"{group['auc']:.3f} | {group['specificity']:.2f} | {group['sensitivity']:.2f}"
        rows.append(f"| {DIAGNOSES[name]} | {group['images']} | {scores} | {interval} |")
    assert "\n".join(rows) in card
    macro, melanoma = found["macro_auc"], found["melanoma_auc"]
    words = card.replace("\n", " ")
    assert f"macro AUC **{macro['value']:.4f}** (95 % interval {show_interval(macro['interval'])})" in words
    assert f"of melanoma {melanoma['value']:.4f} ({show_interval(melanoma['interval'])})" in words
    assert (
        f"log loss {found['log_loss']['value']:.3f}, calibration error {found['calibration_error']['value']:.3f}"
        in words
    )


def test_number_of_parameters_matches() -> None:
    rows = load_json(Path("benchmarks/results/mfsnet.json"))["rows"]
    (unet,) = (row for row in rows if row["name"] == "unet")  # best.json's network
    assert f"{unet['parameters'] / 1e6:.1f} million parameters" in CARD
