"""`post_webhook`: the webhook of a run, as the LangGraph server sends it, for tests of a Django project."""

from __future__ import annotations

import datetime
import json
from typing import Any, Dict, Mapping, Optional, Union

from .. import InvalidRequestError, Run
from .fake_run import FakeRun
from .server_json import now, run_json

__all__ = ["post_webhook", "webhook_json"]

#: Seconds for which a run of the fake server may still execute.
_END_SECONDS = 5.0
#: Fields of a record that the body has as text.
_TIMES = ("created_at", "updated_at")


def post_webhook(
    client: Any,
    run: Union[FakeRun, Run],
    *,
    values: Any = ...,
    error: Optional[str] = None,
    message: str = "",
    name: str = "default",
) -> Any:
    """Send the webhook of *run* to the view `langgraph_runs.django.webhook`, and return the response of *client*.

    The body is like that of the Python server: the run, its values, its times, and for a failure the error. It does not show
    whether the run is paused, so the view requests that from the server: use the fixture ``langgraph_runs_fake``.

    Arguments:
        client: A ``django.test.Client``.
        run: A run of the fake server (`FakeRun`, as ``fake.assert_started()`` returns it), whose end is waited for, for at most
            five seconds; or a `Run` that has ended, from ``client.runs.get`` or `make_run`.
        values: The run's values. Not given: those of the fake run; for a `Run`, null, as for a run without a thread of its own.
        error, message: The class and message of the graph's exception. Not given: those of the fake run.
        name: The name of the configuration in ``LANGGRAPH_RUNS``.

    Raises `InvalidRequestError` for a run that has not ended, since the server would not send a webhook.
    """
    from ..django import webhook_path

    body = webhook_json(run, values=values, error=error, message=message)
    return client.post(webhook_path(name), json.dumps(body), content_type="application/json")


def webhook_json(run: Union[FakeRun, Run], *, values: Any = ..., error: Optional[str] = None, message: str = "") -> Dict[str, Any]:
    """Return the body of the webhook of *run*; the arguments are those of `post_webhook`.

    >>> from langgraph_runs.testing import make_run
    >>> body = webhook_json(make_run(status="error"), error="ValueError", message="no ink")
    >>> body["status"], body["values"], body["error"]
    ('error', None, {'error': 'ValueError', 'message': 'no ink'})
    """
    failure: Optional[Mapping[str, Any]] = None if error is None else {"error": error, "message": message}
    if isinstance(run, FakeRun):
        ended = run.wait_for_end(_END_SECONDS)
        store: Any = run.server
        body: Dict[str, Any] = store.run_json(run)
        values = run.values if values is ... else values
        failure = failure or store.threads.get(run.thread_id, {}).get("error")
    else:
        given: Dict[str, Any] = {field: getattr(run, field) for field in ("run_id", "thread_id", "status", "metadata")}
        given.update({field: _text(getattr(run, field)) for field in _TIMES})
        body = {**run_json(assistant_id=run.assistant_id or "agent", **given), "kwargs": dict(run.kwargs)}
        ended = run.finished
    if not ended:
        raise InvalidRequestError(f"the run has the status {run.status!r}: the server sends a webhook when a run has ended")
    body.update(
        run_started_at=body["created_at"],
        run_ended_at=body["updated_at"],
        webhook_sent_at=now(),
        values=None if values is ... else values,
    )
    if failure is not None:
        body["error"] = dict(failure)
    return body


def _text(moment: Optional[datetime.datetime]) -> Optional[str]:
    return None if moment is None else moment.isoformat()
