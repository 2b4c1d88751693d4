"""Encoded files are decoded upright by TensorFlow, with the same pixels as Pillow."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from ham_keras.data.encoded import read_encoded
from ham_keras.data.images import decode_image
from ham_keras.errors import HamError

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (30, 40, 3), dtype=np.uint8)


def save(folder: Path, name: str, image: Image.Image, **options: object) -> Path:
    image.save(folder / name, **options)
    return folder / name


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.PNG", "a.tif", "a.webp"])
def test_lossless_files_are_decoded_exactly(tmp_path: Path, name: str) -> None:
    path = save(tmp_path, name, Image.fromarray(COLOURS), **({"lossless": True} if name == "a.webp" else {}))
    np.testing.assert_array_equal(decode_image(read_encoded(path)).numpy(), COLOURS)


def test_grey_becomes_rgb_and_alpha_is_dropped(tmp_path: Path) -> None:
    grey = save(tmp_path, "grey.png", Image.fromarray(COLOURS[..., 0]))
    np.testing.assert_array_equal(decode_image(read_encoded(grey)).numpy(), COLOURS[..., :1].repeat(3, axis=2))
    alpha = save(tmp_path, "alpha.png", Image.fromarray(np.dstack([COLOURS, COLOURS[..., 0]])))
    np.testing.assert_array_equal(decode_image(read_encoded(alpha)).numpy(), COLOURS)


def test_jpeg_is_decoded_like_pillow(tmp_path: Path) -> None:
    smooth = np.asarray(Image.fromarray(COLOURS[:4, :4]).resize((200, 150), Image.Resampling.BICUBIC))
    path = save(tmp_path, "a.jpg", Image.fromarray(smooth), quality=92)
    assert read_encoded(path) == path.read_bytes()
    difference = decode_image(read_encoded(path)).numpy().astype(int) - np.asarray(Image.open(path))
    assert np.abs(difference).mean() < 1  # their inverse colour transforms differ


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was rotated
    path = save(tmp_path, "a.jpg", Image.fromarray(COLOURS), exif=exif, quality=95)
    upright = decode_image(read_encoded(path)).numpy()
    assert upright.shape == (40, 30, 3)
    np.testing.assert_array_equal(upright, np.rot90(np.asarray(Image.open(path)), -1))


@pytest.mark.parametrize("ending", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_upper_8_of_16_bits_are_kept(tmp_path: Path, ending: str, channels: int) -> None:
    fine = COLOURS.astype(np.uint16) * 256 + RNG.integers(0, 256, COLOURS.shape, dtype=np.uint16)
    path = tmp_path / f"a{ending}"
    cv2.imwrite(str(path), fine[..., 0] if channels == 1 else fine[..., ::-1])
    expected = COLOURS[..., :1].repeat(3, axis=2) if channels == 1 else COLOURS
    np.testing.assert_array_equal(decode_image(read_encoded(path)).numpy(), expected)


@pytest.mark.parametrize("name", ["a.tiff", "a.webp", "a.png"])
def test_several_pages_are_refused(tmp_path: Path, name: str) -> None:
    frames = [Image.fromarray(COLOURS), Image.fromarray(255 - COLOURS)]
    path = save(tmp_path, name, frames[0], save_all=True, append_images=frames[1:])
    with pytest.raises(HamError, match=r"not a readable image \(has 2 pages or frames; save the right one as a file\)"):
        read_encoded(path)


def test_colours_of_palette_are_read(tmp_path: Path) -> None:
    path = save(tmp_path, "palette.png", Image.fromarray(COLOURS // 128 * 255).quantize(8))
    np.testing.assert_array_equal(decode_image(read_encoded(path)).numpy(), COLOURS // 128 * 255)


def test_32_bits_per_pixel_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path, "a.tif", Image.fromarray(COLOURS[..., 0].astype(np.float32)))
    with pytest.raises(HamError, match=r"a\.tif: not a readable image \(32 bits per pixel have no fixed range"):
        read_encoded(path)
