"""Write an audit as text, JSON, CSV and a contact sheet."""

from __future__ import annotations

import csv
import io
import os
import textwrap
from collections import defaultdict
from pathlib import Path

from ham_keras.data.inspection.contact_sheet import save_contact_sheet
from ham_keras.data.inspection.folder import Audit
from ham_keras.data.inspection.pairs import show_size
from ham_keras.data.problems import KINDS, UNREADABLE, by_kind
from ham_keras.errors import HamError, shown, warn
from ham_keras.files import save_json, save_text

CSV_COLUMNS = ["image_id", "lesion_id", "diagnosis", "image_size", "mask_size", "palette", "repaired"]
CSV_COLUMNS += ["levels", "lesion_fraction", "problems", "phash", "sha256"]


def report_audit(audited: Audit, output: Path) -> bool:
    """Save and print an audit; returns whether every file can be read.

    Raises:
        HamError: see `save_audit`.
    """
    save_audit(audited, output)
    print(summary_table(audited))
    for line in audited.pairing.warnings():
        warn(line)
    print(f"wrote {shown(output)}/audit.json, audit.csv and contact_sheet.png")
    return not any(problem.kind in UNREADABLE for problem in audited.problems)


def summary_table(audited: Audit) -> str:
    """The numbers of audit.json as text, then the count and an example of each kind of problem."""
    facts = audited.facts()
    counts = ", ".join(f"{facts[name]} {name}" for name in ("pairs", "lesions", "palette", "repaired"))
    lines = [f"{facts['root']}: {counts}"]
    for name in ("diagnoses", "image_sizes"):
        most = list(facts[name].items())[:8]
        lines.append(f"{name.replace('_', ' ')}: {', '.join(f'{value} {count}' for value, count in most)}")
    found = by_kind(audited.problems)
    width = max(map(len, KINDS.values()))
    lines += ["", f"{'found':>7}  {'what':<{width}}  example" if found else "no problems found"]
    for kind, problems in found.items():
        example = problems[0].detail
        if len(problems[0].image_ids) == 1:  # the detail of a group contains its image ids
            example = f"{shown(os.path.relpath(problems[0].path, audited.pairing.root))}: {example}"
        lines.append(f"{len(problems):>7}  {KINDS[kind]:<{width}}  {textwrap.shorten(example, 110, placeholder='...')}")
    return "\n".join([*lines, ""])


def save_audit(audited: Audit, output: Path | str) -> None:
    """Write audit.json, audit.csv and contact_sheet.png to `output`.

    Raises:
        HamError: `output` is the data folder itself, or cannot be written.
    """
    output, root = Path(output), audited.pairing.root
    if output.resolve() == root.resolve():
        raise HamError(f"{shown(output)}: audit.csv would be read as metadata there; choose another --output")
    content = audited.facts() | {"problems": [problem.to_json() for problem in audited.problems]}
    try:
        save_json(output / "audit.json", content)
        save_text(output / "audit.csv", _csv(audited))
        records = [pair.record for pair in audited.pairs]
        save_contact_sheet(output / "contact_sheet.png", root, records, audited.problems)
    except OSError as error:
        raise HamError(f"{shown(output)}: the audit cannot be written ({error}); choose another --output") from None


def _csv(audited: Audit) -> str:
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    for problem in audited.problems:
        for image_id in problem.image_ids:
            kinds[image_id].append(problem.kind)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for pair in audited.pairs:
        found = ";".join(kinds[pair.record.image_id])
        row: list[object] = [pair.record.image_id, pair.record.lesion_id, pair.record.diagnosis]
        row += [show_size(pair.image_size), show_size(pair.mask_size), int(pair.palette), int(pair.repaired)]
        writer.writerow([*row, pair.levels, pair.lesion_fraction, found, pair.phash, pair.sha256])
    return text.getvalue()
