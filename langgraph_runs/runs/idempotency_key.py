"""The idempotency key of a call: the thread that it stands for, the fingerprint of its run, and whether a run is that of the key.

Sends nothing.
"""

from __future__ import annotations

import uuid
from typing import Any, Dict, List, Mapping, Optional

import attrs

from .. import api
from ..errors import IdempotencyConflictError
from ..markers import fingerprint_in
from ..serialization import digest_of
from .keys import check_key

__all__ = ["IdempotencyKey", "fingerprint_of", "is_replayed", "thread_of_key"]

#: The namespace of the UUIDs (version 5) that stand for keys. It must never change: two versions of this library would not find
#: each other's runs.
_NAMESPACE = uuid.UUID("5d0c24d8-65f7-5b85-ba32-a008c71719cf")
#: Fields of the body that say how a call receives its run, and not what the run does.
_NOT_COMPARED = frozenset(
    {
        "feedback_keys",
        "if_not_exists",
        "multitask_strategy",
        "on_completion",
        "on_disconnect",
        "stream_mode",
        "stream_resumable",
        "stream_subgraphs",
    }
)
#: Hexadecimal digits of the digest of one field.
_DIGITS = 16
#: The longest text that is sent as the header ``Idempotency-Key``.
_LONGEST_HEADER = 255


@attrs.frozen
class IdempotencyKey:
    """A key and the run that it is for."""

    #: The key as text.
    text: str
    #: What stands for the key in markers: a UUID, version 5.
    id: str
    #: A digest of each field that the run of the key must have in common with this call.
    fingerprint: Mapping[str, str]
    #: The assistant as the caller gave it.
    assistant_id: str
    #: True if the thread of the run is derived from the key; False if the caller named the thread.
    derived: bool

    @classmethod
    def of(cls, value: Any, body: Mapping[str, Any], *, derived: bool) -> IdempotencyKey:
        """Return the key that the caller gave as *value*; *body* is that of its create, without markers."""
        text = check_key("idempotency_key", value)
        return cls(text, thread_of_key(text), fingerprint_of(body), str(body.get("assistant_id")), derived)

    @property
    def thread_id(self) -> str:
        """The thread that is derived from the key. The call that creates it posts the run."""
        return self.id

    def lock_id(self, number: int) -> str:
        """Return the id of the thread that is lock *number*: the thread of the run for 0, others for takeovers."""
        return self.thread_id if number == 0 else str(uuid.uuid5(uuid.UUID(self.id), f"takeover {number}"))

    def headers(self, given: Mapping[str, Any]) -> Dict[str, str]:
        """Return the header for servers that know keys themselves, unless the caller has *given* it."""
        if any(name.lower() == "idempotency-key" for name in given):
            return {}
        plain = (
            self.text.isascii() and self.text.isprintable() and len(self.text) <= _LONGEST_HEADER and self.text == self.text.strip()
        )
        return {"Idempotency-Key": self.text if plain else self.id}

    def check(self, row: api.MarkedRun) -> None:
        """Raise `IdempotencyConflictError` if *row*, the run of the key, was created with other arguments."""
        of_run = fingerprint_in(row.marker)
        if not of_run:
            return  # the server does not show the marker
        differs = [
            name
            for name in sorted(of_run.keys() | self.fingerprint.keys())
            if of_run.get(name) != self.fingerprint.get(name)
            # The first call may have named the assistant, and this one may give its id.
            and not (name == "assistant_id" and self.assistant_id == row.run.assistant_id)
        ]
        if differs:
            raise IdempotencyConflictError(
                f"idempotency_key: the key has a run already, which was started with another {_listed(differs)}; "
                "give each run a key of its own, or repeat the first call as it was",
                differs=differs,
                run_id=row.run.run_id,
                thread_id=row.run.thread_id,
            )


def thread_of_key(value: Any) -> str:
    """Return the id of the thread that is derived from the key *value*; a UUID, version 5. Raise `InvalidRequestError`.

    It must never change.

    >>> thread_of_key("order 7")
    '861c024c-64a1-52e5-b533-ef1eb93dade6'
    """
    return str(uuid.uuid5(_NAMESPACE, check_key("idempotency_key", value)))


def fingerprint_of(body: Mapping[str, Any]) -> Dict[str, str]:
    """Return a digest of each field of the *body* of a create by which two calls with one key are compared.

    An input that is None is the same as none: it is not sent. 1 and 1.0 are the same.
    """
    return {name: digest_of(value, numbers_by_value=True)[:_DIGITS] for name, value in body.items() if name not in _NOT_COMPARED}


def _listed(names: List[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def is_replayed(headers: Optional[Mapping[str, str]]) -> bool:
    """Return True if a server that knows keys says that its response is about a run that existed."""
    return headers is not None and headers.get("idempotency-replayed", "").strip().lower() == "true"
