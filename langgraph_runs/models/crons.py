"""Crons.

The annotations are read at run time, so this module does not postpone them.
"""

import datetime
from typing import Any, Dict, Optional

import attrs

from ..markers import shown_request_id, take_marker

__all__ = ["Cron"]


@attrs.frozen(kw_only=True)
class Cron:
    """A schedule on which the server starts runs of an assistant.

    >>> Cron(cron_id="01a2", schedule="0 9 * * *", enabled=True).schedule
    '0 9 * * *'
    """

    cron_id: str
    assistant_id: Optional[str] = None
    #: The thread of all its runs, or None: each run gets a new thread.
    thread_id: Optional[str] = None
    #: Minute, hour, day of the month, month, day of the week.
    schedule: Optional[str] = None
    #: The IANA name of the time zone of *schedule*; None: UTC.
    timezone: Optional[str] = None
    #: When it stops, or None.
    end_time: Optional[datetime.datetime] = None
    #: When it starts the next run.
    next_run_date: Optional[datetime.datetime] = None
    #: False if it starts no runs for now. None if the server does not say it.
    enabled: Optional[bool] = None
    #: What happens to the thread of a run when the run has ended: ``delete`` or ``keep``. None for a cron of one thread.
    on_run_completed: Optional[str] = None
    user_id: Optional[str] = None
    metadata: Dict[str, Any] = attrs.field(factory=dict)
    #: What its runs are started with: input, config and so on. Not in the repr, since it may hold secrets.
    payload: Dict[str, Any] = attrs.field(factory=dict, repr=False)
    created_at: Optional[datetime.datetime] = None
    updated_at: Optional[datetime.datetime] = None
    #: The id of the request that created it, if this library sent that request; else None. Its runs have the same.
    request_id: Optional[str] = attrs.field(default=None, repr=False)
    #: Fields that this library does not know, or that have another type than documented.
    extra: Dict[str, Any] = attrs.field(factory=dict, repr=False)

    @staticmethod
    def _prepared(fields: Dict[str, Any], extra: Dict[str, Any]) -> None:
        marker = take_marker(fields, extra)
        if isinstance(fields.get("payload"), dict):
            fields["payload"] = dict(fields["payload"])
            in_payload = take_marker(fields["payload"])
            marker = marker or in_payload
        if marker is not None:
            fields["request_id"] = shown_request_id(marker)
        elif not isinstance(fields.get("request_id"), str):
            fields.pop("request_id", None)
