"""``client.crons``: schedules on which the server starts runs."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Sequence, get_args

from .. import api
from ..errors import InvalidRequestError
from ..fields import as_object
from ..http import CALL_OPTIONS
from ..models import Cron
from ..options import (
    CallOptions,
    CronOptions,
    CronUpdateOptions,
    OnCompletion,
    SortOrder,
    ThreadCronOptions,
    documented,
    option_docs,
)
from ..payloads import RunsCreatePayload, names_of, to_body
from ..runs import create_cron
from ..times import parse_time
from ..validation import check_choice, check_id
from .resource import Resource, check_search

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["CronsClient"]

_SORT_FIELDS = ("cron_id", "assistant_id", "thread_id", "created_at", "updated_at", "next_run_date", "end_time")
#: The options that are checked as those of a run are.
_OF_RUNS = frozenset(option_docs(ThreadCronOptions)).intersection(names_of(RunsCreatePayload))


class CronsClient(Resource):
    """The crons of a server, as ``client.crons``. Not every server has them: ``client.info().flags["crons"]``."""

    @documented(ThreadCronOptions)
    def create_for_thread(self, thread_id: str, assistant_id: str, *, schedule: str, **options: Unpack[ThreadCronOptions]) -> Cron:
        """Create a cron whose runs are all on one thread; otherwise as `create`. Raises `NotFoundError` for an unknown thread."""
        return self._create("create_for_thread", check_id("thread_id", thread_id), assistant_id, schedule, options)

    @documented(CronOptions)
    def create(self, assistant_id: str, *, schedule: str, **options: Unpack[CronOptions]) -> Cron:
        """Create a cron, and return it: the server starts a run of the assistant whenever *schedule* says, on a new thread.

        *schedule* has minute, hour, day of the month, month and day of the week: ``0 9 * * 1-5``.

        The request is sent again only if it was surely not executed. If its response is lost, the cron is looked up; raises
        `CreateUncertainError` if it is not found.
        """
        return self._create("create", None, assistant_id, schedule, options)

    def _create(self, call: str, thread_id: Optional[str], assistant_id: str, schedule: str, options: Mapping[str, Any]) -> Cron:
        known = option_docs(ThreadCronOptions if thread_id is not None else CronOptions)
        fixed = {"assistant_id": check_id("assistant_id", assistant_id), "schedule": _schedule("schedule", schedule)}
        with self._call(call, options, thread_id=thread_id, further=known) as (scope, common):
            return create_cron(self._transport, scope, thread_id, {**fixed, **_fields(options)}, common)

    @documented(CallOptions)
    def get(self, cron_id: str, **options: Unpack[CallOptions]) -> Cron:
        """Return a cron. Raises `NotFoundError`."""
        cron_id = check_id("cron_id", cron_id)
        with self._call("get", options) as (scope, common):
            return api.get_cron(self._transport, scope, cron_id, common)

    @documented(CronUpdateOptions)
    def update(self, cron_id: str, **options: Unpack[CronUpdateOptions]) -> Cron:
        """Change a cron, and return it. Options that are not given, or None, stay as they are; ``end_time=None`` removes the end.

        *metadata* are merged into those of the cron. Raises `NotFoundError`.
        """
        fields = _fields(options)
        if "end_time" in options and options["end_time"] is None:
            fields["end_time"] = None
        if not fields:
            raise InvalidRequestError("update(): give at least one option to change")
        cron_id = check_id("cron_id", cron_id)
        with self._call("update", options, further=option_docs(CronUpdateOptions)) as (scope, common):
            return api.update_cron(self._transport, scope, cron_id, common, fields=fields)

    @documented(CallOptions)
    def delete(self, cron_id: str, **options: Unpack[CallOptions]) -> None:
        """Delete a cron. Runs that it has started go on. Raises `NotFoundError`."""
        cron_id = check_id("cron_id", cron_id)
        with self._call("delete", options) as (scope, common):
            api.delete_cron(self._transport, scope, cron_id, common)

    @documented(CallOptions)
    def search(
        self,
        *,
        assistant_id: Optional[str] = None,
        thread_id: Optional[str] = None,
        enabled: Optional[bool] = None,
        metadata: Optional[Mapping[str, Any]] = None,
        limit: int = 10,
        offset: int = 0,
        sort_by: Optional[str] = None,
        sort_order: Optional[SortOrder] = None,
        select: Optional[Sequence[str]] = None,
        **options: Unpack[CallOptions],
    ) -> List[Cron]:
        """Return crons whose metadata contain those given: at most *limit*, after skipping *offset*, newest first.

        A field that *select* does not name is None or empty.
        """
        check_search(limit, offset, sort_by=sort_by, sort_order=sort_order, sort_fields=_SORT_FIELDS)
        with self._call("search", options) as (scope, common):
            return api.search_crons(
                self._transport,
                scope,
                common,
                limit=limit,
                offset=offset,
                assistant_id=None if assistant_id is None else check_id("assistant_id", assistant_id),
                thread_id=None if thread_id is None else check_id("thread_id", thread_id),
                enabled=enabled,
                metadata=None if metadata is None else as_object("metadata", metadata),
                sort_by=sort_by,
                sort_order=sort_order,
                select=None if select is None else list(select),
            )

    @documented(CallOptions)
    def count(
        self,
        *,
        assistant_id: Optional[str] = None,
        thread_id: Optional[str] = None,
        metadata: Optional[Mapping[str, Any]] = None,
        **options: Unpack[CallOptions],
    ) -> int:
        """Return how many crons there are, of an assistant, of a thread, with certain metadata."""
        with self._call("count", options) as (scope, common):
            return api.count_crons(
                self._transport,
                scope,
                common,
                assistant_id=None if assistant_id is None else check_id("assistant_id", assistant_id),
                thread_id=None if thread_id is None else check_id("thread_id", thread_id),
                metadata=None if metadata is None else as_object("metadata", metadata),
            )


def _fields(options: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the fields of the request body that *options* give, checked."""
    given = {name: value for name, value in options.items() if value is not None and name not in CALL_OPTIONS}
    fields = to_body(RunsCreatePayload(**{name: value for name, value in given.items() if name in _OF_RUNS}))
    for name, value in given.items():
        if name not in _OF_RUNS:
            fields[name] = _CHECKS[name](name, value) if name in _CHECKS else value
    return fields


def _schedule(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidRequestError(f"{name}: give text with minute, hour, day of the month, month and day of the week: '0 9 * * *'")
    return value


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidRequestError(f"{name}: give True or False")
    return value


def _completion(name: str, value: Any) -> str:
    check_choice(name, value, get_args(OnCompletion))
    return str(value)


def _moment(name: str, value: Any) -> str:
    try:
        moment = parse_time(value) if isinstance(value, str) else value
    except ValueError:
        moment = None
    if not isinstance(moment, datetime.datetime) or moment.tzinfo is None:
        raise InvalidRequestError(f"{name}: give an aware datetime, such as datetime.now(timezone.utc), or ISO 8601 text")
    return moment.isoformat()


def _zone(name: str, value: Any) -> str:
    found = value
    if isinstance(value, datetime.tzinfo):
        found = getattr(value, "key", None) or value.tzname(None)
    if not isinstance(found, str) or not found:
        raise InvalidRequestError(f"{name}: give the IANA name of a time zone, such as 'Europe/Berlin', or a ZoneInfo object")
    return found


#: The checks of options that only crons have, by name. Each returns what is sent.
_CHECKS: Dict[str, Callable[[str, Any], Any]] = {
    "schedule": _schedule,
    "timezone": _zone,
    "end_time": _moment,
    "enabled": _flag,
    "on_run_completed": _completion,
}
