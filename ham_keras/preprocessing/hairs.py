"""Remove dark hairs from photographs: MFSNet's preprocessing, in TensorFlow operations.

Basak, Kundu and Sarkar (2022) fill, with the inpainting of Telea (Journal of Graphics Tools 9:23, 2004), the thin dark
structures that the black-hat transform of DullRazor (Lee et al., 1997) finds. The found pixels are those of OpenCV. The
fill differs from Telea's by a few grey levels: benchmarks/hair_removal.py.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

# In pixels of an image whose longer side is 600, as in HAM10000; scaled with the image.
REFERENCE_SIDE_PX, CROSS_ARM_PX = 600, 8  # a cross of 17x17
DARKER_BY = 10  # grey levels, of 0..255
GREY, GREY_BITS = (9798, 19235, 3735), 15  # OpenCV's weights of red, green and blue
NEIGHBOURS = ((-1, 0), (1, 0), (0, -1), (0, 1))  # within Telea's radius of 1


def inpaint_hairs(images: tf.Tensor) -> tf.Tensor:
    """Replace the dark hairs of uint8 RGB [H, W, 3] or [N, H, W, 3] by their surroundings; the same type and shape."""
    single = len(images.shape) == 3
    batch = tf.convert_to_tensor(images[None] if single else images)
    filled = fill(batch, black_hat_mask(batch))
    return filled[0] if single else filled


def black_hat_mask(images: tf.Tensor) -> tf.Tensor:
    """Thin structures darker than their surroundings in uint8 RGB [N, H, W, 3], as bool [N, H, W].

    They are more than `DARKER_BY` below their closing with a cross, which is thicker than they are.
    """
    weighted = tf.reduce_sum(tf.cast(images, tf.int32) * tf.constant(GREY), axis=-1)
    grey = tf.bitwise.right_shift(weighted + 2 ** (GREY_BITS - 1), GREY_BITS)
    side = tf.cast(tf.reduce_max(tf.shape(grey)[1:]), tf.float32)
    arm_px = tf.maximum(1, tf.cast(tf.round(CROSS_ARM_PX * side / REFERENCE_SIDE_PX), tf.int32))
    # A cross is the union of two lines, so its maximum is the larger one of theirs.
    dilated = tf.maximum(*(_extreme(grey, arm_px, axis, tf.maximum) for axis in (1, 2)))
    closed = tf.minimum(*(_extreme(dilated, arm_px, axis, tf.minimum) for axis in (1, 2)))
    return closed - grey > DARKER_BY


def _extreme(levels: tf.Tensor, arm_px: tf.Tensor, axis: int, larger: Callable[..., tf.Tensor]) -> tf.Tensor:
    """Maximum or minimum of int32 [N, H, W] over 2 * arm_px + 1 pixels along an axis; outside pixels do not count.

    The window is doubled until it is more than half of the final one, which two of them then cover.
    """
    outside = levels.dtype.min if larger is tf.maximum else levels.dtype.max
    length, window_px = tf.shape(levels)[axis], 2 * arm_px + 1
    padding = [[arm_px, arm_px] if each == axis else [0, 0] for each in range(3)]
    padded = tf.pad(levels, padding, constant_values=outside)

    def joined(part: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        count = tf.shape(part)[axis] - step
        return larger(_part(part, 0, count, axis), _part(part, step, count, axis))

    covered_px = tf.constant(1)
    part, covered_px = tf.while_loop(
        lambda _, covered_px: 2 * covered_px <= window_px,
        lambda part, covered_px: (joined(part, covered_px), 2 * covered_px),
        (padded, covered_px),
        shape_invariants=(tf.TensorShape([None] * 3), covered_px.shape),
    )
    return tf.ensure_shape(_part(joined(part, window_px - covered_px), 0, length, axis), levels.shape)


def _part(levels: tf.Tensor, start: tf.Tensor | int, count: tf.Tensor, axis: int) -> tf.Tensor:
    begin = [start if each == axis else 0 for each in range(3)]
    return tf.slice(levels, begin, [count if each == axis else -1 for each in range(3)])


def fill(images: tf.Tensor, holes: tf.Tensor) -> tf.Tensor:
    """Fill the holes, bool [N, H, W], of uint8 RGB [N, H, W, 3] from their rims inwards.

    Each pixel becomes the mean of those among its four neighbours that are known, or filled before.
    """
    places = tf.where(holes)
    numbers = tf.range(1, tf.shape(places)[0] + 1)  # of the holes' pixels; 0 is any other pixel
    numbered = tf.scatter_nd(places, numbers, tf.shape(holes, tf.int64))
    others, sums, counts = [], [], []
    for offset in NEIGHBOURS:
        moved = places + tf.constant([0, *offset], tf.int64)
        inside = tf.reduce_all((moved >= 0) & (moved < tf.shape(holes, tf.int64)), axis=1)
        moved = tf.where(inside[:, None], moved, places)
        number = tf.gather_nd(numbered, moved)
        known = tf.cast(number == 0, tf.float32)
        others.append(tf.where(inside, number, 0))
        sums.append(known[:, None] * tf.cast(tf.gather_nd(images, moved), tf.float32))
        counts.append(known)
    other, known_sum, known_count = tf.stack(others, axis=1), tf.add_n(sums), tf.add_n(counts)

    def one_layer(colours: tf.Tensor, filled: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        near = tf.gather(filled, other)
        total = known_sum + tf.reduce_sum(tf.gather(colours, other), axis=1)
        count = known_count + tf.reduce_sum(near, axis=1)
        new = tf.cast(count > 0, tf.float32) * (1.0 - filled[1:])
        colours = tf.concat([colours[:1], colours[1:] + (new / tf.maximum(count, 1.0))[:, None] * total], axis=0)
        return colours, tf.concat([filled[:1], filled[1:] + new], axis=0)

    rows = tf.shape(places)[0] + 1
    colours, _ = tf.while_loop(
        lambda _, filled: tf.reduce_any(filled[1:] == 0.0), one_layer, (tf.zeros([rows, 3]), tf.zeros([rows]))
    )
    return tf.tensor_scatter_nd_update(images, places, tf.cast(tf.round(colours[1:]), tf.uint8))
