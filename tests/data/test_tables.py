"""Metadata tables in formats that occur in practice, and warnings about unused tables."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from ham_keras.data.columns import ImageKeys, is_placeholder
from ham_keras.data.pairing_problems import large_lesion_limit
from ham_keras.data.records import Pairing, find_records
from ham_keras.errors import HamError

ROWS = [("HAM_1", "ISIC_1", "nv"), ("HAM_1", "ISIC_2", "nv"), ("HAM_2", "ISIC_3", "mel")]
EXPECTED = [("ISIC_1", "HAM_1", "nv"), ("ISIC_2", "HAM_1", "nv"), ("ISIC_3", "HAM_2", "mel")]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("images/ISIC_1.jpg", "images/ISIC_2.jpg", "images/ISIC_3.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
        mask = tmp_path / "masks" / f"{Path(name).stem}_segmentation.png"
        mask.parent.mkdir(exist_ok=True)
        mask.touch()
    return tmp_path


def found(root: Path) -> list[tuple[str, str, str]]:
    return [(record.image_id, record.lesion_id, record.diagnosis) for record in find_records(root).records]


def kinds(pairing: Pairing) -> list[str]:
    return [group.kind for group in pairing.problem_groups]


def text(delimiter: str = ",", columns: str = "lesion_id image_id dx", form: str = "{}", **quoting: int) -> str:
    table = io.StringIO()
    writer = csv.writer(table, delimiter=delimiter, lineterminator="\r\n", **quoting)  # type: ignore[arg-type]
    writer.writerow(columns.split())
    writer.writerows((lesion, form.format(image), dx) for lesion, image, dx in ROWS)
    return table.getvalue()


@pytest.mark.parametrize(
    "column",
    [
        "image_id",
        "isic_id",
        "Image",
        "IMAGE_NAME",
        "img_id",
        "filename",
        "File",
        "Image ID",
        "image-name",
        "id",
        "foto",
    ],
)
def test_id_column_is_found_by_name_or_by_its_ids(root: Path, column: str) -> None:
    rows = "\n".join(f"{lesion},{image},{dx}" for lesion, image, dx in ROWS)
    (root / "table.csv").write_text(f"lesion_id,{column},dx\n{rows}\n")
    pairing = find_records(root)
    assert found(root) == EXPECTED
    assert pairing.warnings() == []


@pytest.mark.parametrize("form", ["{}.jpg", "{}.JPG", "images/{}.jpg", r"C:\photos\{}.jpeg", " {} ", "{}.png"])
def test_ids_may_have_suffixes_and_folders(root: Path, form: str) -> None:
    (root / "table.csv").write_text(text(form=form))
    assert found(root) == EXPECTED


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_separators_and_encodings(root: Path, delimiter: str, encoding: str) -> None:
    (root / "table.csv").write_bytes(text(delimiter).replace("nv", "nævus").encode(encoding))
    assert found(root) == [(image, lesion, dx.replace("nv", "nævus")) for image, lesion, dx in EXPECTED]


@pytest.mark.parametrize(
    "first", ["sep=;", "SEP=;", '"sep=;"', "\r\n", "sep=;\r\n", "sep = ;", '"Sep = ; "', "sep=;;;;"]
)
def test_lines_before_the_header(root: Path, first: str) -> None:
    (root / "table.csv").write_text(f"{first}\r\n{text(';')}", newline="")
    assert found(root) == EXPECTED


def test_spaces_quotes_and_empty_lines(root: Path) -> None:
    (root / "table.csv").write_text(
        'lesion_id, "image_id" , dx, age\n\nHAM_1, ISIC_1 , "nv", "1,5"\n'
        ' HAM_1,"ISIC_2", nv\n,,\nHAM_2 , isic_3,MEL ,\n'
    )
    assert found(root) == EXPECTED


def test_header_with_another_separator_in_its_names(root: Path) -> None:
    rows = "\n".join(f"{lesion};{image};{dx}" for lesion, image, dx in ROWS)
    (root / "table.csv").write_text(f"lesion_id;image_id;dx, if known, else empty\n{rows}\n")
    assert [row[:2] for row in found(root)] == [row[:2] for row in EXPECTED]


@pytest.mark.parametrize("name", ["HAM10000_metadata", "HAM10000_metadata.tab", "HAM10000_metadata.txt"])
@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_dataverse_table_under_each_of_its_names(root: Path, name: str, delimiter: str) -> None:
    (root / name).write_text(text(delimiter, quoting=csv.QUOTE_ALL))
    (root / "README_metadata.txt").write_text("These are photographs.\n")
    (root / "LICENSE").write_text("Free, and open\n")
    pairing = find_records(root)
    assert found(root) == EXPECTED
    assert pairing.problem_groups == []


def test_tables_are_found_in_the_root_the_image_folder_and_table_folders(root: Path) -> None:
    (root / "images" / "metadata.csv").write_text("image,lesion_id\nISIC_1,HAM_1\n")
    truth = root / "ISIC2018_Task3_Training_GroundTruth" / "ISIC2018_Task3_Training_GroundTruth.csv"
    truth.parent.mkdir()
    truth.write_text("image,MEL,NV\nISIC_1,0.0,1.0\nISIC_2,0.0,1.0\n")
    (root / "ISIC2018_Task3_Training_LesionGroupings.csv").write_text(
        "image,lesion_id,diagnosis_confirm_type\nISIC_2,HAM_1,histo\nISIC_3,HAM_2,histo\n"
    )
    (root.parent / "elsewhere.csv").write_text("image,lesion_id\nISIC_1,HAM_9\n")
    assert found(root) == [("ISIC_1", "HAM_1", "nv"), ("ISIC_2", "HAM_1", "nv"), ("ISIC_3", "HAM_2", "unknown")]


@pytest.mark.parametrize("true", ["1", "1.0", "True", "TRUE", "yes"])
def test_one_hot_columns_in_any_case(root: Path, true: str) -> None:
    (root / "truth.csv").write_text(f"image,Mel,nv,BCC\nISIC_1,0,{true},0\nISIC_2,0,{true},0\nISIC_3,{true},0,\n")
    assert [row[2] for row in found(root)] == ["nv", "nv", "mel"]


def test_one_hot_rows_with_two_diagnoses_or_none_are_unknown(root: Path) -> None:
    (root / "truth.csv").write_text("image,MEL,NV,UNK\nISIC_1,1,1,0\nISIC_2,0,0,0\nISIC_3,0,0,1\n")
    assert [row[2] for row in found(root)] == ["unknown"] * 3


PLACEHOLDERS = ["nan", "NaN", "NA", "N/A", "n.a.", "#N/A", "none", "None", "NULL", "null", "unknown", "Unknown_lesion"]
PLACEHOLDERS += ["UNKNOWN7", "-", "--", "?", "", " ", "0", "-1", "not available", "missing", "."]


@pytest.mark.parametrize("placeholder", PLACEHOLDERS)
def test_placeholders_are_not_lesion_ids(root: Path, placeholder: str) -> None:
    (root / "table.csv").write_text(
        f'image_id,lesion_id\nISIC_1,"{placeholder}"\nISIC_2,"{placeholder}"\nISIC_3,HAM_2\n'
    )
    pairing = find_records(root)
    assert [record.lesion_id for record in pairing.records] == ["ISIC_1", "ISIC_2", "HAM_2"]
    assert pairing.images_without_metadata == 2
    assert any("2 of 3 images have no lesion_id" in line for line in pairing.warnings())
    if placeholder.strip():
        assert (
            f"2 images have a placeholder for a lesion_id and count as one lesion each, e.g. ISIC_1: {placeholder!r}"
            in pairing.warnings()
        )


@pytest.mark.parametrize("lesion", ["0123", "NA12", "Nonn_1", "7", "nano", "U-1"])
def test_ids_that_resemble_placeholders_are_kept(lesion: str) -> None:
    assert not is_placeholder(lesion)


def test_lesion_0_is_kept_if_lesions_are_numbered(root: Path) -> None:
    (root / "table.csv").write_text("image_id,lesion_id\nISIC_1,0\nISIC_2,0\nISIC_3,1\n")
    assert [row[1] for row in found(root)] == ["0", "0", "1"]


def test_placeholder_is_replaced_by_the_id_in_another_table(root: Path) -> None:
    (root / "a.csv").write_text("image_id,lesion_id\nISIC_1,nan\nISIC_2,nan\nISIC_3,nan\n")
    (root / "b.csv").write_text(text())
    pairing = find_records(root)
    assert [record.lesion_id for record in pairing.records] == ["HAM_1", "HAM_1", "HAM_2"]
    assert pairing.warnings() == []


def test_lesion_ids_written_as_floats_match_integers(root: Path) -> None:
    (root / "a.csv").write_text("image_id,lesion\nISIC_1,12.0\nISIC_2,12.0\nISIC_3,\n")
    (root / "b.csv").write_text("image_id,Lesion ID\nISIC_1,12\nISIC_3,13\n")
    assert [row[1] for row in found(root)] == ["12", "12", "13"]


def test_lesion_ids_shared_by_patients_are_prefixed_with_the_patient(root: Path) -> None:
    # As in PAD-UFES-20: ids with a suffix, numbered lesions, other column names.
    (root / "metadata.csv").write_text(
        "patient_id,lesion_id,smoke,diagnostic,img_id\n"
        "PAT_1,1,False,NEV,ISIC_1.png\nPAT_2,1,,BCC,ISIC_2.png\nPAT_2,2,,BCC,ISIC_3.png\n"
    )
    assert found(root) == [("ISIC_1", "PAT_1_1", "nev"), ("ISIC_2", "PAT_2_1", "bcc"), ("ISIC_3", "2", "bcc")]


def test_contradicting_lesions_are_an_error_that_names_both(root: Path) -> None:
    (root / "a.csv").write_text("image_id,lesion_id\nISIC_1,HAM_1\nISIC_2,ham_1\n")
    (root / "b.csv").write_text("image,lesion\nisic_1.jpg,HAM_2\nISIC_2,HAM_1\n")
    message = rf"{root / 'b.csv'}: isic_1 has lesion HAM_2 here and HAM_1 in {root / 'a.csv'}; keep one"
    with pytest.raises(HamError, match=message):
        find_records(root)
    (root / "b.csv").write_text("image_id,lesion_id\nISIC_3,HAM_1\nISIC_3,HAM_3\n")
    with pytest.raises(HamError, match=r"b\.csv: isic_3 has lesion HAM_3 here and HAM_1 in another row"):
        find_records(root)


def test_contradicting_diagnoses_in_one_table_are_an_error(root: Path) -> None:
    (root / "a.csv").write_text("image_id,dx\nISIC_1,nv\nISIC_1,mel\n")
    with pytest.raises(HamError, match=r"a\.csv: isic_1 has the diagnosis mel in one row and nv in another"):
        find_records(root)


def test_contradicting_diagnoses_in_two_tables_are_reported(root: Path) -> None:
    (root / "GroundTruth.csv").write_text("image,MEL,NV\nISIC_1,1.0,0.0\nISIC_3,1.0,0.0\n")
    (root / "table.csv").write_text(text())
    pairing = find_records(root)
    assert [record.diagnosis for record in pairing.records] == ["nv", "nv", "mel"]
    assert pairing.warnings() == [
        "1 image has two diagnoses in the tables, the first is used, e.g. ISIC_1: 'nv and mel'"
    ]


def test_lesions_of_many_images_are_reported(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for number in range(102):
        (tmp_path / "images" / f"{number:03}.jpg").touch()
        (tmp_path / "masks" / f"{number:03}.png").touch()
    ids = [f"{number:03},{'first' if number < 51 else f'L{number // 60}'}" for number in range(102)]
    (tmp_path / "table.csv").write_text("\n".join(["image_id,lesion_id", *ids]))
    # "first" has 51; L0 has 051 to 059, L1 has 060 to 101.
    (large,) = find_records(tmp_path).problem_groups
    assert large.kind == "large_lesion"
    assert large.warning.startswith("2 lesions have more than 20 images, e.g. lesion 'first' has 51 images")


def test_limits_of_large_lesions() -> None:
    found = {images: large_lesion_limit(images) for images in (20, 100, 101, 600, 1000, 10_000)}
    assert found == {20: 9, 100: 20, 101: 20, 600: 30, 1000: 50, 10_000: 50}


def test_unused_tables_are_reported_with_the_reason(root: Path) -> None:
    (root / "a.csv").write_text("who,when\nAnn,today\n")
    (root / "b.csv").write_text("image_id,lesion_id\nISIC_8,HAM_1\n")
    (root / "c.xlsx").touch()
    assert [group.warning for group in find_records(root).problem_groups] == [
        f"{root / 'a.csv'}: not used: no column has the ids of the images: who, when",
        f"{root / 'b.csv'}: not used: the ids in its column 'image_id', such as 'ISIC_8', match no image",
        f"{root / 'c.xlsx'}: not used: a spreadsheet; save it as CSV",
    ]


def test_table_without_lesions_is_reported_if_no_table_has_them(root: Path) -> None:
    (root / "a.csv").write_text("image_id,dx,age\nISIC_1,nv,40\n")
    assert f"{root / 'a.csv'}: no column of lesion ids among image_id, dx, age" in find_records(root).warnings()
    (root / "a.csv").write_text("image_id,lesion_id\nISIC_1,nan\nISIC_2,nan\nISIC_3,nan\n")
    assert (
        f"{root / 'a.csv'}: its column 'lesion_id' holds no ids, but placeholders or classes"
        in find_records(root).warnings()
    )
    (root / "b.csv").write_text(text())
    assert find_records(root).warnings() == []


def test_tables_of_pixels_are_skipped_by_their_header(root: Path) -> None:
    header = ",".join([*(f"pixel{i:04}" for i in range(28 * 28 * 3)), "label"])
    # Reading more than the header would raise an error, because text has no zero bytes.
    (root / "hmnist_28_28_RGB.csv").write_bytes(header.encode() + b"\n\0\xff,1\n")
    assert find_records(root).problem_groups == []


def test_table_that_is_not_text_is_an_error(root: Path) -> None:
    (root / "table.csv").write_bytes(b"image_id,dx\nISIC_1,n\0v\n")
    with pytest.raises(HamError, match=r"table\.csv: cannot be read as a table; save it as CSV in UTF-8"):
        find_records(root)


@pytest.mark.parametrize(
    ("cell", "image"),
    [
        ("ISIC_1.JPG", "isic_1"),
        ("a.b", "a.b"),
        ("a.b.png", "a.b"),
        ("d/e/f.tif", "f"),
        (r"d\e\f", "f"),
        ("e\u0301", "\xe9"),
        ("images/P1/a.jpg", "p1/a"),
        ("p1/a", "p1/a"),
        ("p2/a", None),
        ("a", None),
        ("ISIC_24306", "isic_0024306"),
        ("24306.0", "0024306"),
        ("2_3", "02_003"),
        ("7", None),  # 07 or 007
    ],
)
def test_images_of_cells(cell: str, image: str | None) -> None:
    known = ["isic_1", "a.b", "f", "\xe9", "p1/a", "isic_0024306", "0024306", "02_003", "07", "007"]
    assert ImageKeys.of(known).find(cell) == image


def test_ids_without_leading_zeros_are_used_if_no_column_has_exact_ids(tmp_path: Path) -> None:
    for number in range(1, 4):
        for folder, suffix in ("images", "jpg"), ("masks", "png"):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / f"00{number}.{suffix}").touch()
    rows = [f"{number},L{number // 2},{number}" for number in range(1, 4)]
    (tmp_path / "table.csv").write_text("\n".join(["image_id,lesion_id,age", *rows]))
    assert [lesion for _, lesion, _ in found(tmp_path)] == ["L0", "L1", "L1"]
    rows = [f"{4 - number},L{number // 2},00{number}.jpg" for number in range(1, 4)]  # image_id counts backwards
    (tmp_path / "table.csv").write_text("\n".join(["image_id,lesion_id,file", *rows]))
    assert [lesion for _, lesion, _ in found(tmp_path)] == ["L0", "L1", "L1"]


def test_lesion_ids_of_a_merged_table_that_disagree_are_told(root: Path) -> None:
    (root / "table.csv").write_text(
        "image_id,lesion_id_x,lesion_id_y\nISIC_1,HAM_1,ham_1\nISIC_2,,HAM_1\nISIC_3,HAM_2,HAM_1\n"
    )
    pairing = find_records(root)
    assert [lesion for _, lesion, _ in found(root)] == ["HAM_1", "HAM_1", "HAM_2"]
    assert pairing.warnings() == [
        "1 image has two lesion_ids in columns of one table, the first is used, e.g. ISIC_3: 'HAM_2 and HAM_1'"
    ]


def test_diagnoses_of_a_merged_table_that_disagree_are_told(root: Path) -> None:
    (root / "table.csv").write_text(
        "image_id,lesion_id,dx_x,dx_y\nISIC_1,L1,nv,NV\nISIC_2,L2,,mel\nISIC_3,L3,bkl,mel\n"
    )
    assert [dx for _, _, dx in found(root)] == ["nv", "mel", "bkl"]
    assert find_records(root).warnings() == [
        "1 image has two diagnoses in the tables, the first is used, e.g. ISIC_3: 'bkl and mel'"
    ]
