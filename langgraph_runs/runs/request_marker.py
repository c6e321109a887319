"""Makes the marker of one create, writes it into the body, and recognises the run that has it."""

from __future__ import annotations

import os
import random
from typing import Any, Dict, Mapping, Optional

import attrs

from .. import api
from ..markers import BATCH_ITEM, MARKER, key_in, keyed_marker
from .idempotency_key import IdempotencyKey

__all__ = ["RequestMarker"]

#: A generator for each process, by its id, seeded by the kernel. Servers such as uWSGI fork without calling the functions of
#: ``os.register_at_fork``, so that the id is compared at each use. ``random.seed()`` in the program has no effect on it. uuid.uuid4
#: would read from the kernel each time and release the interpreter lock. The ids have to be distinct; they need not be secret.
_generators: Dict[int, random.Random] = {}


@attrs.frozen
class RequestMarker:
    """What distinguishes one create from all others: a value in the metadata of its run."""

    #: The value in the metadata.
    value: str
    #: The ``x-request-id`` of the create: the caller's, else one that the library made. Gateways change it, and not every server
    #: stores it, so that its absence proves nothing.
    request_id: str
    #: True if the library made the request id. The caller may use an id of its own for several requests.
    made_here: bool
    #: The id of the idempotency key, or None. All creates with one key are for the same run.
    key: Optional[str] = None

    @classmethod
    def new(cls, headers: Mapping[str, Any], key: Optional[IdempotencyKey] = None) -> RequestMarker:
        """Return a new marker for a create with the caller's *headers* and, if there is one, an idempotency key."""
        given = next((value for name, value in headers.items() if name.lower() == "x-request-id"), None)
        fresh = _fresh_id()
        value = fresh if given is None else f"{given} {fresh}"
        if key is not None:
            value = keyed_marker(value, key.id, key.fingerprint)
        return cls(value, given or fresh, given is None, None if key is None else key.id)

    @property
    def headers(self) -> Dict[str, str]:
        """The headers to send with the create, in addition to the caller's own."""
        return {"x-request-id": self.request_id} if self.made_here else {}

    def write_to(self, body: Dict[str, Any], *, item: Optional[int] = None, in_config: bool = False) -> None:
        """Write the marker into the body of a create: into ``metadata`` and, with *in_config*, into ``config.metadata``.

        *item* is the position of a run in a batch. An object that is no mapping is left as it is: the server refuses it.
        """
        own: Dict[str, Any] = {MARKER: self.value} if item is None else {MARKER: self.value, BATCH_ITEM: item}
        _merge(body, "metadata", own)
        if in_config and isinstance(body.get("config", {}), (dict, Mapping)):
            config = dict(body.get("config", {}))
            _merge(config, "metadata", own)
            body["config"] = config

    def is_on(self, row: api.MarkedRun) -> bool:
        """Return True if the run was created by the request with this marker, or by another one with the same idempotency key."""
        return self.is_own(row) or (self.key is not None and key_in(row.marker) == self.key)

    def is_own(self, row: api.MarkedRun) -> bool:
        """Return True if the run was created by the request with this marker itself."""
        return row.marker == self.value or (self.made_here and row.run.request_id == self.request_id)

    def is_shown_by(self, row: api.MarkedRun) -> bool:
        """Return True if the server shows the marker of *row*, a run that this create has made or found."""
        return row.marker == self.value or (self.key is not None and key_in(row.marker) == self.key)


def _merge(body: Dict[str, Any], name: str, fields: Mapping[str, Any]) -> None:
    given = body.get(name) or {}
    if isinstance(given, (dict, Mapping)):
        body[name] = {**given, **fields}


def _fresh_id() -> str:
    pid = os.getpid()
    numbers = _generators.get(pid)
    if numbers is None:
        _generators.clear()  # those of processes that this one was forked from
        numbers = _generators.setdefault(pid, random.Random())
    digits = f"{numbers.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"  # a UUID, version 4
