"""What training and evaluation tell of the masks they are about to use, one counted line for each kind of oddity."""

from __future__ import annotations

from collections.abc import Sequence

from ham_keras.data.records import Record
from ham_keras.data.repair import in_threads, looks_inverted_twice, spread
from ham_keras.data.truth import fit_mask
from ham_keras.errors import shown

SAMPLED = 100
# Of HAM10000's masks no one looks inverted by both signs, of their tiles 1 to 2 %: benchmarks/inverted_masks.py.
SUSPICIOUS_SHARE = 0.1


def mask_warnings(records: Sequence[Record]) -> list[str]:
    """One counted line, with an example, for each oddity in how the masks of these records are read.

    Files that cannot be read are none: whoever reads them says why.
    """
    fits = in_threads(fit_mask, records)
    kinds = (
        (
            "masks were inverted and are repaired (data.repair_masks)",
            [record for record in records if record.mask_inverted],
        ),
        (
            "masks have another aspect ratio than their image and are stretched to it",
            [record for record, fit in zip(records, fits, strict=True) if fit.other_aspect],
        ),
        (
            "images are turned by EXIF and do not tell whether their masks are too: these are read as they are",
            [record for record, fit in zip(records, fits, strict=True) if fit.unclear_turn],
        ),
    )
    lines = [f"{len(odd)} of {len(records)} {what}, the first: {shown(odd[0].mask_path)}" for what, odd in kinds if odd]
    return lines + _suspicion([record for record in records if not record.mask_inverted])


def _suspicion(records: Sequence[Record]) -> list[str]:
    sample = spread(records, SAMPLED)
    suspects = [record for record, odd in zip(sample, in_threads(looks_inverted_twice, sample), strict=True) if odd]
    if not suspects or len(suspects) < SUSPICIOUS_SHARE * len(sample):
        return []
    return [
        f"{len(suspects)} of {len(sample)} masks that were looked at may be inverted, the first: "
        f"{shown(suspects[0].mask_path)}; the audit lists them, data.repair_masks=always repairs them"
    ]
