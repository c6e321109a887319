"""Public classes name the package that exports them as their module: in reprs, tracebacks, documentation and pickles.

So a module of the package can be moved without breaking a pickle.
"""

import sys
import typing
from typing import Any, Iterable

__all__ = ["name_public"]


def name_public(package: str, items: Iterable[Any]) -> None:
    """Set ``__module__`` of each class in *items* that a module of *package* defines. Other items stay as they are."""
    for item in items:
        if isinstance(item, type) and item.__module__.startswith(package + "."):
            _resolve_annotations(item)
            item.__module__ = package


def _resolve_annotations(cls: type) -> None:
    # typing.get_type_hints and attrs.resolve_types look the names in an annotation up in the module that the class names, so
    # annotations that are text have to be resolved while that is still the module that defines it.
    annotations = vars(cls).get("__annotations__", {})
    if any(isinstance(annotation, str) for annotation in annotations.values()):
        holder = type("holder", (), {"__annotations__": annotations})  # has none of the annotations of base classes
        cls.__annotations__ = typing.get_type_hints(holder, vars(sys.modules[cls.__module__]), include_extras=True)
