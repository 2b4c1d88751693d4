"""Augmentation with albumentations, image by image: the settings of `native`, but different random draws."""

from __future__ import annotations

import random
import threading
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ham_keras.settings import Augment


def albumentations_batch(pixels: tf.Tensor, keys: tf.Tensor, settings: Augment) -> tf.Tensor:
    """Augment uint8 [N, H, W, 4], RGB and lesion fraction; fractions are moved to the nearest pixel."""
    local = threading.local()  # a Compose holds random state, so each thread has its own

    def augment(pixels: npt.NDArray[np.uint8], seeds: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        if not hasattr(local, "compose"):
            cv2.setNumThreads(0)
            local.compose = build_albumentations(settings)
        augmented = np.empty_like(pixels)
        for image, result, seed in zip(pixels, augmented, seeds, strict=True):
            # Not set_random_seed: it gives each step the same draws, so zoom and colour would be correlated.
            local.compose.set_random_state(np.random.default_rng(seed), random.Random(int(seed)))
            both = local.compose(image=np.ascontiguousarray(image[..., :3]), mask=np.ascontiguousarray(image[..., 3]))
            result[..., :3], result[..., 3] = both["image"], both["mask"]
        return augmented

    augmented = tf.numpy_function(augment, [pixels, keys], tf.uint8)
    augmented.set_shape(pixels.shape)
    return augmented


def build_albumentations(settings: Augment) -> Any:
    """Build the albumentations pipeline; it takes `image` and `mask`, both uint8."""
    import albumentations as A

    steps: list[Any] = []
    if settings.flips:
        steps += [A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5)]
    if settings.quarter_turns:
        steps.append(A.RandomRotate90(p=1.0))
    if settings.rotation or settings.scale or settings.shift:
        steps.append(
            A.Affine(
                rotate=(-settings.rotation, settings.rotation),
                scale=(1 - settings.scale, 1 + settings.scale),
                translate_percent=(-settings.shift, settings.shift),
                keep_ratio=True,
                border_mode=cv2.BORDER_REFLECT_101,
                p=1.0,
            )
        )
    if settings.stretch:
        width = (1 / (1 + settings.stretch), 1 + settings.stretch)
        steps.append(A.Affine(scale={"x": width, "y": (1.0, 1.0)}, border_mode=cv2.BORDER_REFLECT_101, p=1.0))
    if settings.gamma:
        percent = (100 / (1 + settings.gamma), 100 * (1 + settings.gamma))
        steps.append(A.RandomGamma(gamma_limit=percent, p=1.0))
    if settings.hue or settings.contrast or settings.saturation:
        contrast, saturation = ((1 - amount, 1 + amount) for amount in (settings.contrast, settings.saturation))
        hue = (-settings.hue, settings.hue)
        steps.append(A.ColorJitter(brightness=(1, 1), contrast=contrast, saturation=saturation, hue=hue, p=1.0))
    if settings.colour_cast:
        gain = (1 - settings.colour_cast, 1 + settings.colour_cast)
        steps.append(A.MultiplicativeNoise(multiplier=gain, per_channel=True, p=1.0))
    if settings.brightness:
        steps.append(A.RandomBrightnessContrast(settings.brightness, 0, brightness_by_max=True, p=1.0))
    if settings.blur_px:
        steps.append(A.GaussianBlur(blur_limit=0, sigma_limit=(0, settings.blur_px), p=0.5))
    if settings.noise:
        steps.append(A.GaussNoise(std_range=(0, settings.noise), per_channel=True, p=0.5))
    return A.Compose(steps)
