"""Records as dicts: what the server sent, by key, and the attributes of the record of `langgraph_runs`."""

from __future__ import annotations

import datetime
from typing import Any, Dict

import attrs

from .. import Checkpoint, Interrupt

__all__ = ["Record", "as_dicts", "is_record"]

#: Fields that this library adds to what the server sent, by the name of the class.
_ADDED = {"Run": {"request_id", "replayed"}, "Cron": {"request_id"}}


class Record(Dict[str, Any]):
    """A record of the server as a dict of JSON, whose items are attributes too: ``run["run_id"]`` and ``run.run_id``.

    Times are text as an item and a `datetime.datetime` as an attribute. ``values`` of a thread and of a state is the values, not
    the method of a dict; ``items`` is the method. Fields that the server left out are None or empty.

    >>> interrupt = Record(Interrupt(value="Send this?", id="9d4d"))
    >>> interrupt["value"], interrupt.value, sorted(interrupt)
    ('Send this?', 'Send this?', ['id', 'value'])
    """

    def __init__(self, record: Any) -> None:
        super().__init__(_json_of(record))
        #: The record of `langgraph_runs` with the same content.
        self.record = record

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "record":  # also while it is unpickled, when it has no record yet
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return as_dicts(getattr(self.record, name))

    @property
    def values(self) -> Any:
        """The values of a thread or of a state; for other records the method of a dict."""
        return self.record.values if hasattr(self.record, "values") else super().values

    def __reduce__(self) -> Any:
        return type(self), (self.record,)


def is_record(value: Any) -> bool:
    """Return True for a record of the server: an attrs class with a field ``extra``."""
    return attrs.has(type(value)) and hasattr(value, "extra")


def as_dicts(value: Any) -> Any:
    """Return *value* with each record in it as a `Record`. JSON stays as it is.

    >>> as_dicts([Checkpoint(checkpoint_id="1f0c")])
    [{'checkpoint_id': '1f0c'}]
    """
    if is_record(value):
        return Record(value)
    if isinstance(value, (list, tuple)):
        return [as_dicts(item) for item in value]
    if isinstance(value, dict) and any(_has_records(item) for item in value.values()):
        return {key: as_dicts(item) for key, item in value.items()}
    return value


def _has_records(value: Any) -> bool:
    return is_record(value) or (isinstance(value, list) and any(map(is_record, value)))


def _json_of(record: Any) -> Dict[str, Any]:
    kind = type(record)
    left_out = _ADDED.get(kind.__name__, set()) | {"extra"}
    fields = {field.name: getattr(record, field.name) for field in attrs.fields(kind) if field.name not in left_out}
    if isinstance(record, (Checkpoint, Interrupt)):
        # These are sent back to the server, or given to the classes of langgraph, which take no null.
        fields = {name: value for name, value in fields.items() if value is not None or name == "value"}
    found = {name: _item(value) for name, value in fields.items()}
    found.update(record.extra)
    return found


def _item(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime.datetime) else as_dicts(value)
