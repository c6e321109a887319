"""The arguments of a map, checked once.

A new option is added to the signature of the call in ``client.runs``, to `MapConfig`, and where it is used.
"""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, Mapping, Optional, Union

import attrs

from ..call import AbortSignal
from ..errors import InvalidRequestError
from ..http import CALL_OPTIONS, CommonOptions, parse_call_options
from ..validation import check_choice, check_count, check_seconds
from .ledger import Ledger
from .progress import MapProgress

__all__ = ["MapConfig"]


def _one_of(*choices: str) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    def check(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        check_choice(attribute.name, value, choices)

    return check


def _check_executor(_: Any, __: Any, value: Any) -> None:
    if value is not None and not callable(getattr(value, "submit", None)):
        raise InvalidRequestError(f"executor={value!r}: give a concurrent.futures.Executor, or None for threads")


def _check_keep_threads(_: Any, __: Any, value: Any) -> None:
    if value not in (True, False, "failed", None):
        raise InvalidRequestError(f"keep_threads={value!r}: give True, False or 'failed'")


def _check_key(_: Any, __: Any, value: Any) -> None:
    if value is not None and not callable(value):
        raise InvalidRequestError(f"key={value!r}: give a function that takes an input and returns its key")


def _checked_concurrency(value: Any) -> int:
    return check_count("concurrency", value, least=1)


def _checked_max_outage(value: Optional[float]) -> Optional[float]:
    return check_seconds("max_outage", value)


def _checked_timeout_each(value: Optional[float]) -> Optional[float]:
    return check_seconds("timeout_each", value)


def _check_options(_: Any, __: Any, value: Mapping[str, Any]) -> None:
    if "timeout" in value:
        raise InvalidRequestError("map() has no timeout: use timeout_each, for one input, or a signal, for all of them")


def _ledger_of(ledger: Union[Ledger, str, os.PathLike[str], None]) -> Optional[Ledger]:
    return ledger if ledger is None or isinstance(ledger, Ledger) else Ledger(ledger)


@attrs.frozen(kw_only=True)
class MapConfig:
    """The arguments of one ``client.runs.map`` or ``join_all``, beside the inputs. Raises `InvalidRequestError` for wrong ones.

    >>> MapConfig(assistant_id="agent", concurrency=4, keep_threads="failed").deletes_thread(failed=True)
    False
    """

    #: Empty if existing runs are joined.
    assistant_id: str = ""
    #: Options of each run, and the common options ``headers`` and ``params``.
    options: Mapping[str, Any] = attrs.field(factory=dict, validator=_check_options)
    concurrency: int = attrs.field(default=16, converter=_checked_concurrency)
    ordered: bool = False
    ledger: Optional[Ledger] = attrs.field(default=None, converter=_ledger_of)
    progress: Union[bool, Callable[[MapProgress], object], None] = None
    executor: Any = attrs.field(default=None, validator=_check_executor)
    on_error: str = attrs.field(default="yield", validator=_one_of("yield", "raise", "stop"))
    on_interrupt: str = attrs.field(default="cancel", validator=_one_of("cancel", "detach"))
    timeout_each: Optional[float] = attrs.field(default=None, converter=_checked_timeout_each)
    max_outage: Optional[float] = attrs.field(default=600.0, converter=_checked_max_outage)
    signal: Optional[AbortSignal] = None
    key: Optional[Callable[[Any], Any]] = attrs.field(default=None, validator=_check_key)
    #: None: the threads are kept if the keys are idempotency keys, else they are deleted.
    keep_threads: Union[bool, str, None] = attrs.field(default=None, validator=_check_keep_threads)
    #: The common options, checked.
    call: CommonOptions = attrs.field(init=False)

    @call.default
    def _parse_call(self) -> CommonOptions:
        given = {name: value for name, value in self.options.items() if name in CALL_OPTIONS}
        return parse_call_options("map", {**given, "signal": self.signal})

    @property
    def run_options(self) -> Dict[str, Any]:
        """Return the options of each run."""
        return {name: value for name, value in self.options.items() if name not in CALL_OPTIONS}

    @property
    def has_idempotency_keys(self) -> bool:
        """True if the keys of the inputs are idempotency keys of their runs: no ledger knows which inputs have been run."""
        return self.key is not None and self.ledger is None

    @property
    def cancels(self) -> bool:
        """True if the runs in flight are cancelled when the map is stopped early."""
        return self.on_interrupt == "cancel"

    def deletes_thread(self, *, failed: bool) -> bool:
        """Return True if the thread is deleted after a success or, with *failed*, after a failure."""
        keep = self.has_idempotency_keys if self.keep_threads is None else self.keep_threads
        return not keep or (keep == "failed" and not failed)
