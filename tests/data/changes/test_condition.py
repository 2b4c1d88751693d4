"""Conditions: every change runs at every strength, the same each time, and masks move with their images."""

from __future__ import annotations

import numpy as np
import pytest

from ham_keras.data.changes.catalogue import CHANGES, STRENGTHS, Change
from ham_keras.data.changes.condition import CLEAN, Condition, list_conditions
from ham_keras.data.phantoms.photograph import draw_phantom
from ham_keras.errors import HamError

IMAGE, LESION, _, _ = draw_phantom(3, 1, 1, (300, 224))
MASK = LESION.astype(np.uint8)


@pytest.mark.parametrize("name", CHANGES)
def test_change_is_repeatable_and_depends_on_the_id(name: str) -> None:
    same = True
    for strength in range(1, STRENGTHS + 1):
        condition = Condition(name, strength)
        image, mask = condition.image("a", IMAGE), condition.mask("a", MASK)
        assert image.shape == IMAGE.shape and image.dtype == np.uint8 and not np.array_equal(image, IMAGE)
        assert mask.shape == MASK.shape and mask.dtype == np.uint8 and set(np.unique(mask)) <= {0, 1}
        assert np.array_equal(condition.image("a", IMAGE.copy()), image)
        assert np.array_equal(condition.mask("a", MASK.copy()), mask)
        moved = not np.array_equal(mask, MASK)
        assert moved <= (CHANGES[name].view is not None or CHANGES[name].alter_mask is not None)
        same &= all(np.array_equal(condition.image(other, IMAGE), image) for other in "bcdef")
    deterministic = {"blur", "jpeg", "contrast", "downsampling"}  # nothing is drawn
    assert same == (name in deterministic)


@pytest.mark.parametrize("name", [name for name, change in CHANGES.items() if change.alter is not None])
def test_higher_strength_changes_more(name: str) -> None:
    strengths = (1, STRENGTHS)
    weak, strong = (Condition(name, each).image("a", IMAGE).astype(int) - IMAGE for each in strengths)
    if name != "ruler":  # it only comes nearer to the lesion
        assert np.abs(strong).mean() > np.abs(weak).mean()


def test_unchanged_condition_returns_what_it_gets() -> None:
    condition = Condition(CLEAN, 0)
    assert condition.image("a", IMAGE) is IMAGE and condition.mask("a", MASK) is MASK
    assert condition.name == "clean" and condition.direction("a") == ""


def test_directions_are_shared_by_strengths_and_about_even() -> None:
    found = [Condition("zoom", 3).direction(f"ISIC_{i}") for i in range(400)]
    assert 160 < found.count("enlarged") < 240 and set(found) == {"enlarged", "shrunk"}
    assert found == [Condition("zoom", 1).direction(f"ISIC_{i}") for i in range(400)]
    larger, smaller = (
        next(f"ISIC_{i}" for i, each in enumerate(found) if each == name) for name in ("enlarged", "shrunk")
    )
    assert Condition("zoom", 1).mask(larger, MASK).sum() > MASK.sum() > Condition("zoom", 1).mask(smaller, MASK).sum()


def test_mask_of_another_size_moves_alike() -> None:
    half = MASK[::2, ::2].copy()
    for name in ("rotation", "zoom", "shift", "aspect", "dark_corners"):
        condition = Condition(name, 3)
        large, small = condition.mask("a", MASK)[::2, ::2], condition.mask("a", half)
        assert np.mean(large != small) < 0.03, name


def test_reversed_amounts() -> None:
    factor, signed = CHANGES["zoom"], CHANGES["rotation"]
    assert factor.directed(2.0, reversed_=True) == 0.5 and signed.directed(10, reversed_=True) == -10
    with pytest.raises(AssertionError):
        Change("neither", "", (1, 2, 3, 4, 5))


def test_list_of_conditions() -> None:
    names = [condition.name for condition in list_conditions(["blur", "ink", "blur"])]
    assert names == ["clean", *(f"{change}-{strength}" for change in ("blur", "ink") for strength in range(1, 6))]
    with pytest.raises(HamError, match=r"--changes fog: no such change; expected some of blur, noise, jpeg, "):
        list_conditions(["blur", "fog"])


def test_amounts_are_ordered_and_documented() -> None:
    for name, change in CHANGES.items():
        steps = np.sign(np.diff(change.amounts))
        assert len(set(steps)) == 1 and len(change.amounts) == STRENGTHS, name
        assert change.unit and change.title
