"""prediction/postprocessing.py in TensorFlow operations, for export. The masks are identical.

Connected components are computed on runs (maximal horizontal segments): a mask of hundreds of thousands of pixels has
only hundreds of runs. Labels propagate as in FastSV (Zhang, Azad and Hu, SIAM Conference on Parallel Processing 2020):
adjacent runs take the smaller label and follow it to its root. The number of iterations grows with the logarithm of
the longest path through a component. On a mask of 600x450, filling holes took 4 ms for a disc, 12 ms for a torn lesion
and 44 ms for noise; keeping the largest part took 11, 14 and 74 ms (benchmarks/outline.py, on two busy cores).
"""

from __future__ import annotations

import tensorflow as tf

from ham_keras.settings import Outline


def postprocess(probability: tf.Tensor, outline: Outline, threshold: tf.Tensor | None = None) -> tf.Tensor:
    """Turn probabilities, float32 [H, W], into a mask, bool [H, W]; `threshold`, float32 [], overrides the config's."""
    mask = probability > (outline.threshold if threshold is None else threshold)
    if outline.fill_holes:
        mask = fill_holes(mask)
    return keep_largest(mask) if outline.keep_largest else mask


def fill_holes(mask: tf.Tensor) -> tf.Tensor:
    """Fill holes in a mask, bool [H, W]. Skin connected to the image's edge is not a hole."""
    skin = tf.pad(~mask, [[1, 1], [1, 1]], constant_values=True)  # connects all skin at the image's edge
    runs, parts = _connected_runs(skin, diagonal=False)
    return mask | tf.gather(parts != 1, runs)[1:-1, 1:-1]


def keep_largest(mask: tf.Tensor) -> tf.Tensor:
    """Keep only the largest 8-connected component of a mask, bool [H, W].

    If several are equally large, keep the one with the topmost, then leftmost, pixel.
    """
    runs, parts = _connected_runs(mask, diagonal=True)
    areas = tf.math.unsorted_segment_sum(_lengths(mask), parts[1:], tf.size(parts))
    return tf.gather(parts == tf.argmax(areas, output_type=tf.int32), runs) & mask


def _connected_runs(mask: tf.Tensor, *, diagonal: bool) -> tuple[tf.Tensor, tf.Tensor]:
    """Number the runs of a mask, bool [H, W], from 1 in reading order, and find their connected components.

    Args:
        diagonal: whether pixels that touch only at a corner are connected (8-connectivity).

    Returns:
        runs: int32 [H, W], the run of each pixel in the mask; arbitrary elsewhere.
        parts: int32 [count + 1], for each run the lowest run number in its component; parts[0] is 0 and unused.
    """
    starts = _starts(mask)
    shape = tf.shape(mask)
    runs = tf.reshape(tf.cumsum(tf.reshape(tf.cast(starts, tf.int32), [-1])), shape)
    above, below = mask[:-1], mask[1:]
    both = above & below
    # One shared pixel connects two runs, so the first of each overlap is enough.
    joined = [(runs[:-1], runs[1:], _starts(both))]
    if diagonal:
        left, right = slice(None, -1), slice(1, None)
        for here, there in ((left, right), (right, left)):
            touching = above[:, here] & below[:, there] & ~(above[:, there] | below[:, here])
            joined.append((runs[:-1, here], runs[1:, there], touching))
    upper, lower = (
        tf.concat([tf.boolean_mask(pair[side], pair[2]) for pair in joined], axis=0) for side in range(2)
    )  # fmt: skip
    ends = tf.concat([upper, lower], axis=0)

    def join(parts: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        further = tf.gather(parts, parts)
        lowest = tf.tile(tf.minimum(tf.gather(further, upper), tf.gather(further, lower)), [2])
        new = tf.minimum(parts, further)
        for those in (ends, tf.gather(parts, ends)):
            new = tf.minimum(new, tf.math.unsorted_segment_min(lowest, those, tf.size(parts)))
        new = tf.gather(new, new)
        return new, tf.reduce_any(new != parts)

    initial = tf.range(runs[-1, -1] + 1)
    parts, _ = tf.while_loop(lambda _, changed: changed, join, (initial, tf.constant(True)))
    return runs, parts


def _starts(mask: tf.Tensor) -> tf.Tensor:
    """Mark the first pixel of each run of a mask, bool [H, W]."""
    return mask & ~tf.pad(mask, [[0, 0], [1, 0]])[:, :-1]


def _lengths(mask: tf.Tensor) -> tf.Tensor:
    """Return the length of each run of a mask, bool [H, W], in reading order: int64 [count]."""
    ends = mask & ~tf.pad(mask, [[0, 0], [0, 1]])[:, 1:]
    first, last = (tf.where(tf.reshape(places, [-1]))[:, 0] for places in (_starts(mask), ends))
    return last - first + 1
