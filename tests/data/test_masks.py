"""Masks of every encoding are read as the same {0, 1}, with values worked out by hand."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from ham_keras.data.masks import (
    MaskLevelsError,
    find_edge_line,
    looks_inverted,
    read_mask,
    remove_frame,
    resize_mask,
)
from ham_keras.data.phantoms.photograph import draw_phantom
from ham_keras.errors import HamError

LESION = np.array(
    [
        [0, 0, 0, 0, 0],
        [0, 0, 1, 1, 0],
        [0, 1, 1, 1, 0],
        [0, 0, 0, 0, 0],
    ],
    np.uint8,
)
BLACK_FIRST = [0, 0, 0] + [255, 255, 255] * 255
REVERSED = [level for index in range(256) for level in [255 - index] * 3]  # HAM10000's: index 255 is black


def paletted(indices: npt.NDArray[np.uint8], palette: list[int]) -> Image.Image:
    image = Image.fromarray(indices)
    image.putpalette(palette)
    return image


def coloured(lesion: npt.NDArray[np.uint8], lesion_rgb: tuple[int, ...], skin: tuple[int, ...]) -> Image.Image:
    return Image.fromarray(np.where(lesion[..., None], lesion_rgb, skin).astype(np.uint8))


PICTURES = {
    "0 and 1.png": Image.fromarray(LESION),
    "0 and 255.png": Image.fromarray(LESION * 255),
    "0 and 255.bmp": Image.fromarray(LESION * 255),
    "0 and 7.png": Image.fromarray(LESION * 7),
    "1 and 2.png": Image.fromarray(LESION + 1),
    "128 and 255.png": Image.fromarray(LESION * 127 + 128),
    "12 bits in 16.png": Image.fromarray(LESION.astype(np.uint16) * 4095),
    "rgb, red on blue.png": coloured(LESION, (255, 0, 0), (0, 0, 255)),
    "1-bit.png": Image.fromarray(LESION.astype(bool)),
    "1-bit.bmp": Image.fromarray(LESION.astype(bool)),
    "16-bit, 0 and 1.png": Image.fromarray(LESION.astype(np.uint16)),
    "16-bit, 0 and 65535.png": Image.fromarray(LESION.astype(np.uint16) * 65535),
    "rgb.png": coloured(LESION, (255, 255, 255), (0, 0, 0)),
    "rgb, red on black.bmp": coloured(LESION, (200, 0, 0), (0, 0, 0)),
    "rgba, opaque.png": coloured(LESION, (255, 255, 255, 255), (0, 0, 0, 255)),
    "rgba, skin transparent.png": coloured(LESION, (255, 255, 255, 255), (0, 0, 0, 0)),
    "rgba, drawn in alpha over black.png": coloured(LESION, (0, 0, 0, 255), (0, 0, 0, 0)),
    "grey and alpha.png": coloured(LESION, (255, 255, 255, 255), (0, 0, 0, 255)).convert("LA"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_every_encoding_gives_the_same_mask(tmp_path: Path, name: str) -> None:
    PICTURES[name].save(tmp_path / name)
    mask = read_mask(tmp_path / name)
    np.testing.assert_array_equal(mask.lesion, LESION)
    assert mask.lesion.dtype == np.uint8
    assert (mask.repaired, mask.palette, mask.levels) == (False, False, 2)


@pytest.mark.parametrize(
    ("indices", "palette", "options"),
    [(LESION, BLACK_FIRST, {}), (LESION, BLACK_FIRST, {"bits": 1}), (255 * (1 - LESION), REVERSED, {})],
    ids=["black first", "1-bit", "reversed as in HAM10000"],
)
def test_palettes_are_decoded_and_not_repaired(
    tmp_path: Path, indices: npt.NDArray[np.uint8], palette: list[int], options: dict[str, int]
) -> None:
    path = tmp_path / "mask.png"
    paletted(indices, palette).save(path, **options)
    mask = read_mask(path)
    np.testing.assert_array_equal(mask.lesion, LESION)
    assert (mask.repaired, mask.palette, mask.levels) == (False, True, 2)


def test_1_bit_bmp_with_white_as_first_colour(tmp_path: Path) -> None:
    path = tmp_path / "mask.bmp"
    Image.fromarray(LESION == 0).save(path)
    data = bytearray(path.read_bytes())
    # The two colours, 4 bytes each, follow headers of 14 and 40 bytes; swapping them undoes the inversion.
    assert bytes(data[54:62]) == b"\0\0\0\0\xff\xff\xff\0"
    data[54:62] = b"\xff\xff\xff\0\0\0\0\0"
    path.write_bytes(data)
    mask = read_mask(path)
    np.testing.assert_array_equal(mask.lesion, LESION)
    assert (mask.repaired, mask.palette) == (False, True)


def test_inverted_file_is_read_inverted_on_request(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    Image.fromarray(255 * (1 - LESION)).save(path)
    as_saved, mask = read_mask(path), read_mask(path, inverted=True)
    np.testing.assert_array_equal(as_saved.lesion, 1 - LESION)
    np.testing.assert_array_equal(mask.lesion, LESION)
    assert (as_saved.repaired, mask.repaired, mask.palette, mask.levels) == (False, True, False, 2)


def test_soft_edges_are_thresholded_at_half_and_levels_counted(tmp_path: Path) -> None:
    grey = np.zeros((4, 5), np.uint8)
    grey[1, 1:4] = [127, 128, 255]
    Image.fromarray(grey).save(tmp_path / "8.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "16.png")
    expected = np.zeros((4, 5), np.uint8)
    expected[1, 2:4] = 1
    for name in ("8.png", "16.png"):
        mask = read_mask(tmp_path / name)
        np.testing.assert_array_equal(mask.lesion, expected)
        assert mask.levels == 4


@pytest.mark.parametrize(("level", "lesion"), [(0, 0), (1, 1), (127, 0), (128, 1), (255, 1)])
def test_mask_of_one_level_is_empty_or_all_lesion(tmp_path: Path, level: int, lesion: int) -> None:
    Image.fromarray(np.full((4, 5), level, np.uint8)).save(tmp_path / "mask.png")
    mask = read_mask(tmp_path / "mask.png")
    np.testing.assert_array_equal(mask.lesion, np.full((4, 5), lesion))
    assert (mask.repaired, mask.levels) == (False, 1)


def test_looks_inverted_compares_border_and_centre() -> None:
    # 4x4: 12 border pixels, the centre is the middle 2x2.
    filling = np.ones((4, 4), np.uint8)
    filling[0, :3] = 0  # border 9/12, centre 4/4: a lesion that fills the frame
    assert not looks_inverted(filling)
    filling[1, 1] = 0  # border 9/12, centre 3/4: equal, so not inverted
    assert not looks_inverted(filling)
    filling[2, 2] = 0  # border 9/12, centre 2/4
    assert looks_inverted(filling)


def test_corner_counts_as_one_border_pixel() -> None:
    # 5x5: 16 border pixels, the centre is the middle 3x3 and lacks one of 9 (0.889).
    lesion = np.ones((5, 5), np.uint8)
    lesion[0, 0] = lesion[2, 2] = 0  # border 15/16 = 0.938
    assert looks_inverted(lesion)
    lesion[4, 4] = 0  # border 14/16 = 0.875; with corners counted twice, 16/20 = 0.8
    assert not looks_inverted(lesion)
    lesion[2, 1] = 0  # centre 7/9 = 0.778
    assert looks_inverted(lesion)
    lesion[0, 4] = 0  # border 13/16 = 0.8125, still more; counted twice it would be 14/20 = 0.7
    assert looks_inverted(lesion)


def disc(radius_px: float, side_px: int = 60) -> npt.NDArray[np.bool_]:
    y, x = np.mgrid[:side_px, :side_px] - (side_px - 1) / 2
    return np.hypot(y, x) < radius_px


CLASSES = {
    "a void ring": np.where(disc(15), 1, np.where(disc(18), 255, 0)),
    "three classes": disc(20).astype(int) + disc(10),
    "two classes and white": np.where(disc(10), 2, disc(20)) + 253 * disc(4),
    "a grey class": np.where(disc(10), 255, 128 * disc(20)),
    "another grey class": np.where(disc(10), 255, 127 * disc(20)),
    "a thin contour": np.where(disc(15), 1, np.where(disc(16), 255, 0)),
}


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_several_classes_are_an_error_that_lists_them(tmp_path: Path, name: str, dtype: type) -> None:
    path, classes = tmp_path / "mask.png", CLASSES[name].astype(dtype)
    Image.fromarray(classes).save(path)
    with pytest.raises(MaskLevelsError) as error:
        read_mask(path)
    values, counts = np.unique(classes, return_counts=True)
    listed = ", ".join(f"{value} ({count:,})" for value, count in zip(values, counts, strict=True))
    assert str(error.value).startswith(f"{path}: a mask of {len(values)} grey levels (pixels): {listed}; expected two")
    assert "data.lesion_values" in str(error.value)
    np.testing.assert_array_equal(read_mask(path, lesion_values=[int(values[1])]).lesion, classes == values[1])
    np.testing.assert_array_equal(read_mask(path, lesion_values=values[1:].tolist()).lesion, classes > 0)


def test_classes_of_a_colour_palette_are_its_indices(tmp_path: Path) -> None:
    path, classes = tmp_path / "mask.png", CLASSES["a void ring"].astype(np.uint8)
    colours = [0, 0, 0, 128, 0, 0] + [0, 128, 0] * 253 + [224, 224, 192]  # as in Pascal VOC
    paletted(classes, colours).save(path)
    with pytest.raises(MaskLevelsError, match=r"0 \(\d,\d+\), 1 \(\d+\), 255 \(\d+\)"):
        read_mask(path)
    np.testing.assert_array_equal(read_mask(path, lesion_values=[1]).lesion, disc(15))


VOC_COLOURS = [0, 0, 0, 128, 0, 0, 0, 128, 0] + [0, 0, 0] * 252 + [224, 224, 192]
CLASS_1, CLASS_2 = disc(10).astype(np.uint8), (disc(20) & ~disc(12)).astype(np.uint8)
SELECTED = {
    "three of a palette.png": (paletted(CLASS_1 + 2 * CLASS_2, VOC_COLOURS), [1], CLASS_1),
    "two of a palette.png": (paletted(CLASS_1, VOC_COLOURS), [1], CLASS_1),
    "the other two of a palette.png": (paletted(2 * CLASS_2, VOC_COLOURS), [1], 0 * CLASS_1),
    "a short grey palette.png": (paletted(CLASS_1 + 2 * CLASS_2, [0] * 3 + [128] * 3 + [255] * 3), [1], CLASS_1),
    "two of a short grey palette.png": (paletted(CLASS_1, [0] * 3 + [128] * 3 + [255] * 3), [1], CLASS_1),
    "HAM10000's palette.png": (paletted(255 * (1 - CLASS_1), REVERSED), [255], CLASS_1),
    "1-bit.png": (Image.fromarray(CLASS_1 > 0), [1], CLASS_1),
    "float 0, 0.5, 1.tif": (Image.fromarray(CLASS_1 + np.float32(0.5) * CLASS_2), [1], CLASS_1),
    "float 0, 1.tif": (Image.fromarray(CLASS_1.astype(np.float32)), [1], CLASS_1),
}


@pytest.mark.parametrize("name", SELECTED)
def test_lesion_values_mean_the_same_in_every_storage(tmp_path: Path, name: str) -> None:
    image, values, lesion = SELECTED[name]
    image.save(tmp_path / name)
    np.testing.assert_array_equal(read_mask(tmp_path / name, lesion_values=values).lesion, lesion)


@pytest.mark.parametrize("quality", [10, 50, 90, 100])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_mask_differs_by_at_most_a_pixel_along_the_edge(tmp_path: Path, quality: int, mode: str) -> None:
    Image.fromarray(disc(18).astype(np.uint8) * 255).convert(mode).save(tmp_path / "mask.jpg", quality=quality)
    mask = read_mask(tmp_path / "mask.jpg")
    assert mask.levels > 2
    assert not mask.lesion[~disc(19)].any() and mask.lesion[disc(17)].all()


@pytest.mark.parametrize("how", [Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.LANCZOS])
def test_resized_mask_is_thresholded_at_half(tmp_path: Path, how: Image.Resampling) -> None:
    large = Image.fromarray(disc(36, 120).astype(np.uint8) * 255)
    for size in (60, 240):
        large.resize((size, size), how).save(tmp_path / "mask.png")
        # Half a pixel of the smaller mask.
        scale, slack = size / 120, max(1.0, size / 240)
        lesion = read_mask(tmp_path / "mask.png").lesion
        assert not lesion[~disc(36 * scale + slack, size)].any() and lesion[disc(36 * scale - slack, size)].all()


def test_grey_line_along_the_edge_belongs_to_the_nearer_level(tmp_path: Path) -> None:
    for level, radius in ((127, 15), (128, 16)):
        Image.fromarray(np.where(disc(15), 255, level * disc(16)).astype(np.uint8)).save(tmp_path / "mask.png")
        np.testing.assert_array_equal(read_mask(tmp_path / "mask.png").lesion, disc(radius))


ALPHA = {
    "black on white, the white transparent": [(0, 0, 0, 255), (255, 255, 255, 0)],
    "white on half transparent black": [(255, 255, 255, 255), (0, 0, 0, 160)],
    "white on transparent white": [(255, 255, 255, 255), (255, 255, 255, 0)],
}


@pytest.mark.parametrize("name", ALPHA)
def test_transparent_pixels_are_not_lesion(tmp_path: Path, name: str) -> None:
    coloured(LESION, *ALPHA[name]).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png").lesion, LESION)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("name", ["mask.png", "mask.tif"])
@pytest.mark.parametrize("level", [1, 255, 65535])
def test_16_bits_per_channel_may_hold_0_and_1(tmp_path: Path, channels: int, name: str, level: int) -> None:
    pixels = np.repeat(LESION.astype(np.uint16)[..., None] * level, channels, axis=2)
    if channels == 4:
        pixels[..., 3] = 65535
    cv2.imwrite(str(tmp_path / name), pixels)
    np.testing.assert_array_equal(read_mask(tmp_path / name).lesion, LESION)
    np.testing.assert_array_equal(read_mask(tmp_path / name, lesion_values=[level]).lesion, LESION)


@pytest.mark.parametrize(("skin", "lesion"), [(0, 255), (100, 255), (128, 255), (150, 255), (60, 130), (40000, 60000)])
def test_soft_edges_are_thresholded_in_the_middle_of_their_range(tmp_path: Path, skin: int, lesion: int) -> None:
    fraction = cv2.GaussianBlur(disc(15, 80).astype(np.float32), (5, 5), 1)
    grey = np.round(skin + fraction * (lesion - skin)).astype(np.uint8 if lesion < 256 else np.uint16)
    Image.fromarray(grey).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png").lesion, grey > (skin + lesion) // 2)
    assert not read_mask(tmp_path / "mask.png").ring


@pytest.mark.parametrize("quality", [5, 50, 90])
def test_lossy_webp_is_read_as_jpeg_is(tmp_path: Path, quality: int) -> None:
    Image.fromarray(disc(80, 300).astype(np.uint8) * 255).save(tmp_path / "mask.webp", quality=quality)
    lesion = read_mask(tmp_path / "mask.webp").lesion
    assert not lesion[~disc(84, 300)].any() and lesion[disc(76, 300)].all()


def test_floats_from_0_to_1_are_thresholded_at_half(tmp_path: Path) -> None:
    soft = np.array([[0, 0.2, 0.49, 0.51, 0.8, 1]] * 3, np.float32)
    Image.fromarray(soft).save(tmp_path / "mask.tif")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.tif").lesion, soft > 0.5)
    Image.fromarray(np.full((3, 3), np.nan, np.float32)).save(tmp_path / "mask.tif")
    with pytest.raises(HamError, match="not finite"):
        read_mask(tmp_path / "mask.tif")


@pytest.mark.parametrize("width_px", [1, 2, 3])
def test_frame_is_removed(tmp_path: Path, width_px: int) -> None:
    mask = disc(15).astype(np.uint8)
    mask[30:, :] |= disc(29)[30:, :]  # a lesion close to one side
    framed = np.pad(mask[width_px:-width_px, width_px:-width_px], width_px, constant_values=1)
    Image.fromarray(framed * 255).save(tmp_path / "mask.png")
    read = read_mask(tmp_path / "mask.png")
    assert read.frame_px == width_px
    np.testing.assert_array_equal(read.lesion, np.pad(mask[width_px:-width_px, width_px:-width_px], width_px, "edge"))
    assert read_mask(tmp_path / "mask.png", inverted=True).frame_px == 0


def test_lesion_that_fills_the_image_and_thick_border_are_not_frames() -> None:
    filling = np.ones((60, 60), np.uint8)
    filling[20:23, 1:4] = 0  # a hole just inside the edge
    for lesion in (filling, np.ones_like(filling), np.pad(disc(15, 52), 4, constant_values=True).astype(np.uint8)):
        kept, width_px = remove_frame(lesion)
        assert (kept is lesion, width_px) == (True, 0)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".jpg"])
def test_truncated_masks_are_an_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"mask{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(HamError, match=rf"mask\{suffix}: not a readable mask \(.*truncated.*replace it"):
        read_mask(path)


def test_missing_files_and_files_that_are_not_images_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(HamError, match="No such file"):
        read_mask(tmp_path / "none.png")
    path = tmp_path / "text.png"
    path.write_text("<html>404</html>")
    with pytest.raises(HamError) as error:
        read_mask(path)
    assert str(error.value) == (f"{path}: not a readable mask (unknown format); replace it or remove its image")


def test_resized_pixel_is_lesion_if_half_of_its_area_is() -> None:
    lesion = np.array([[1, 1, 1, 0], [1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]], np.uint8)
    # Quarters: 4/4, 2/4, 1/4, 0/4.
    np.testing.assert_array_equal(resize_mask(lesion, 2, 2), [[1, 1], [0, 0]])


def test_resize_weights_partially_covered_pixels() -> None:
    # A pixel of the result spans 1.5 x 1.5: the left one holds 1 x 1 + 0.5 x 1 = 1.5 of 2.25, the right one
    # 0.5 x 1; with the corner alone it is 1 of 2.25.
    two = np.array([[1, 1, 0], [0, 0, 0], [0, 0, 0]], np.uint8)
    np.testing.assert_array_equal(resize_mask(two, 2, 2), [[1, 0], [0, 0]])
    one = np.array([[1, 0, 0], [0, 0, 0], [0, 0, 0]], np.uint8)
    np.testing.assert_array_equal(resize_mask(one, 2, 2), [[0, 0], [0, 0]])


def test_resize_enlarges_or_keeps_the_size() -> None:
    lesion = np.array([[1, 0]], np.uint8)
    # Between the centres of the two pixels the weight of the first falls 0.75, 0.25.
    np.testing.assert_array_equal(resize_mask(lesion, 1, 4), [[1, 1, 0, 0]])
    assert resize_mask(lesion, 1, 2) is lesion
    assert resize_mask(LESION, 8, 10).dtype == np.uint8


def test_coloured_photograph_with_few_middle_levels_is_not_a_mask(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:60, :80]
    soft = np.clip(1 / 2 + (16 - np.hypot(rows - 30, columns - 40)) / 8, 0, 1)  # 0.13 of the pixels are between
    skin, lesion = np.array([240, 190, 170]), np.array([60, 20, 10])
    noise = np.random.default_rng(0).integers(-4, 5, (60, 80, 1))
    coloured = (skin + soft[..., None] * (lesion - skin) + noise).astype(np.uint8)
    Image.fromarray(coloured).save(tmp_path / "photograph.png")
    with pytest.raises(MaskLevelsError):
        read_mask(tmp_path / "photograph.png")
    Image.fromarray((255 * soft).astype(np.uint8)).convert("RGB").save(tmp_path / "soft.png")
    assert read_mask(tmp_path / "soft.png").lesion.mean() == pytest.approx(np.mean(soft > 0.5), abs=0.01)


def test_photograph_is_not_a_mask(tmp_path: Path) -> None:
    for number in range(4):
        image, *_ = draw_phantom(0, number, number, (160, 120))
        Image.fromarray(image).save(tmp_path / "photograph.png")
        with pytest.raises(MaskLevelsError, match="grey levels"):
            read_mask(tmp_path / "photograph.png")


def test_blurred_and_lossy_masks_are_read(tmp_path: Path) -> None:
    lesion = np.zeros((96, 128), np.uint8)
    cv2.ellipse(lesion, (64, 48), (30, 20), 20, 0, 360, 255, -1)
    for quality in (5, 30, 95):
        Image.fromarray(cv2.GaussianBlur(lesion, (0, 0), 1)).save(tmp_path / "mask.jpg", quality=quality)
        found = read_mask(tmp_path / "mask.jpg").lesion
        assert (found & (lesion > 0)).sum() / (found | (lesion > 0)).sum() > 0.95


def framed(thickness_px: int, inside_px: int = 0, gap: tuple[slice, slice] | None = None) -> npt.NDArray[np.uint8]:
    """A disc of 60x80 pixels, in a frame that begins `inside_px` from the edge."""
    rows, columns = np.mgrid[:60, :80]
    depth = np.minimum.reduce([rows, columns, 59 - rows, 79 - columns])
    frame = (depth >= inside_px) & (depth < inside_px + thickness_px)
    if gap is not None:
        frame[gap] = False
    return (frame | (np.hypot(rows - 30, columns - 40) < 15)).astype(np.uint8)


@pytest.mark.parametrize(
    ("lesion", "line"),
    [
        (framed(5), ("top", 5)),
        (framed(2, inside_px=1), ("top", 3)),
        (framed(1, gap=np.s_[:, 30:45]), ("top", 1)),
        (framed(4, gap=np.s_[:5, :]), ("bottom", 4)),
        (framed(4, gap=np.s_[:, 10:]), ("left", 4)),
        (framed(4, gap=np.s_[:, :70]), ("right", 4)),
        (framed(0), None),
        (np.ones((60, 80), np.uint8), None),
        (1 - framed(0), None),
    ],
)
def test_lines_along_an_edge_are_found(lesion: npt.NDArray[np.uint8], line: tuple[str, int] | None) -> None:
    assert find_edge_line(lesion) == line
    assert remove_frame(lesion)[1] == 0


@pytest.mark.parametrize("size_px", [64, 450])
def test_lesions_at_the_edge_are_no_lines(size_px: int) -> None:
    rows, columns = np.mgrid[:size_px, :size_px] / size_px
    for radius in (0.05, 0.2, 0.4):
        for column in (-0.3, 0.0, 0.5, 0.9):
            for row in (-radius + 0.03, 0.0, 0.1, radius, 1.0):
                disc = np.hypot(rows - row, columns - column) < radius
                assert find_edge_line(disc.astype(np.uint8)) is None, (radius, row, column)
