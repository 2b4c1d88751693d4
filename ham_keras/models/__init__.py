"""Networks; calling the package, `ham_keras.models()`, lists the trained ones that have a name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ham_keras.runs.named import NamedModel


def models() -> list[NamedModel]:
    """The models that have a name, shipped or in the folders of HAM_KERAS_MODELS; see `runs.named.NamedModel`.

    >>> for model in ham_keras.models():
    ...     print(model)
    """
    from ham_keras.runs.named import find_models

    return find_models()
