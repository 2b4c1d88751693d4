"""Drawing images by lesion."""

from __future__ import annotations

from pathlib import Path

from ham_keras.data.records import Record
from ham_keras.data.selection import draw_by_lesion

RECORDS = [Record(f"{i:03d}", f"lesion {i // 3}", "nv", Path(), Path()) for i in range(90)]  # 3 images each


def test_whole_lesions_are_drawn_by_the_seed() -> None:
    drawn = draw_by_lesion(RECORDS, 20, 1)
    assert len(drawn) == 18 and [record.image_id for record in drawn] == sorted(record.image_id for record in drawn)
    lesions = {record.lesion_id for record in drawn}
    assert drawn == [record for record in RECORDS if record.lesion_id in lesions]
    assert draw_by_lesion(RECORDS, 20, 1) == drawn and draw_by_lesion(RECORDS, 20, 2) != drawn
    assert len(draw_by_lesion(RECORDS, 1, 0)) == 3  # one lesion at least
    assert draw_by_lesion(RECORDS, 90, 5) == RECORDS
