"""How a run ended: the requests that find it out, and the error for it."""

from __future__ import annotations

import logging
from typing import Any, List, Optional, Tuple

import pytest
import requests

from langgraph_runs import Interrupt, NotFoundError, Run, RunCancelledError, RunError, RunFailedError, RunOutcome, RunTimedOutError
from langgraph_runs.call.retry import RetryPolicy
from langgraph_runs.call.scope import Scope
from langgraph_runs.errors import LangGraphRunsError
from langgraph_runs.runs.graph_error import GraphError
from langgraph_runs.runs.outcome import RunOutcomes, deleted_run_error, error_for

from .played import RUN, THREAD, Answer, Played, Reply, reply, run_json, transport_of

HISTORY = f"POST /threads/{THREAD}/history"
NEWEST = f"GET /threads/{THREAD}/runs?limit=10"
STATE = f"GET /threads/{THREAD}/state"
ONE = f"GET /threads/{THREAD}/runs/{RUN}"
THE_THREAD = f"GET /threads/{THREAD}"


def asking(*answers: Answer) -> Tuple[RunOutcomes, Scope, Played]:
    transport, played, _ = transport_of(*answers, retry=RetryPolicy(attempts=1))
    return RunOutcomes(transport), transport.scope(), played


def run_of(status: str) -> Run:
    return Run(run_id=RUN, thread_id=THREAD, status=status, assistant_id=run_json()["assistant_id"])


def state_json(run_id: str = RUN, **changes: Any) -> Any:
    return {"values": {"n": 1}, "next": [], "metadata": {"run_id": run_id}, "tasks": [], **changes}


# -- which error an outcome is


@pytest.mark.parametrize(
    ("outcome", "cls", "text"),
    [
        (RunOutcome(status="error", error="ValueError", message="boom"), RunFailedError, "the run failed: ValueError: boom"),
        (RunOutcome(status="error"), RunFailedError, "the run failed; the server did not say why"),
        (RunOutcome(status="interrupted", values=1), RunCancelledError, "the run was cancelled"),
        (RunOutcome(status="timeout"), RunTimedOutError, "the server stopped the run: it took longer than the server allows"),
        (RunOutcome(status="exploded"), RunError, "the run ended with status 'exploded', which this library does not know"),
        (RunOutcome(status="", values=1), RunError, "the run ended with status '', which this library does not know"),
        (RunOutcome(status="success", exact=False), RunError, "the run succeeded, but its result is not known"),
    ],
)
def test_every_end_but_success_is_an_error(outcome: RunOutcome, cls: Any, text: str) -> None:
    """Each has its class and carries the values so far."""
    error = error_for(outcome)
    assert cls is type(error)
    assert str(error).startswith(text)
    assert outcome.values == (error.values if error else ...)


def test_an_error_knows_its_run() -> None:
    """The record is on it, and its ids."""
    error = error_for(RunOutcome(status="timeout", run=run_of("timeout")))
    assert error is not None
    assert (run_of("timeout"), RUN, THREAD) == (error.run, error.run_id, error.thread_id)


def test_a_success_and_a_pause_are_no_errors() -> None:
    """Nothing is raised for them."""
    assert None is error_for(RunOutcome(status="success", values={"n": 1}))
    assert None is error_for(RunOutcome(status="success", paused=True))


def test_the_error_for_a_deleted_run_says_so() -> None:
    """The server's 404 stays what it is, and says what may have happened, with the values so far."""
    error = deleted_run_error(NotFoundError("Not Found", status_code=404), {"n": 1})
    assert "the run is gone: deleted, or rolled back by a cancel or by a later run (404: Not Found)" == str(error)
    assert {"n": 1} == error.values


# -- what is asked


def test_a_success_with_its_values_sends_no_request() -> None:
    """The known values are the result; a question in them makes it a pause."""
    outcomes, scope, played = asking()
    assert RunOutcome(status="success", values={"n": 1}, run=run_of("success")) == outcomes.outcome_of(
        run_of("success"), scope, values={"n": 1}
    )
    paused = outcomes.outcome_of(run_of("success"), scope, values={"__interrupt__": [{"value": "sure?"}]})
    assert (True, (Interrupt(value="sure?"),)) == (paused.paused, paused.interrupts)
    assert [] == played.asked


@pytest.mark.parametrize("status", ["timeout", "new"])
def test_an_end_with_known_values_sends_no_request(status: str) -> None:
    """Cancelled and timed-out runs have no reason to be fetched."""
    outcomes, scope, played = asking()
    outcome = outcomes.outcome_of(run_of(status), scope, values={"n": 1})
    assert (status, {"n": 1}) == (outcome.status, outcome.values)
    assert [] == played.asked


def test_values_that_were_not_seen_come_from_the_runs_own_state() -> None:
    """One request, for the newest checkpoint of this very run."""
    outcomes, scope, played = asking(reply([state_json()]))
    assert {"n": 1} == outcomes.outcome_of(run_of("timeout"), scope).values
    assert [HISTORY] == played.asked
    assert {"limit": 1, "metadata": {"run_id": RUN}} == played.body()


@pytest.mark.parametrize("answer", [reply([state_json("another run")]), reply([]), reply([{"values": {"n": 1}}])])
def test_the_state_of_another_run_is_not_used(answer: Answer) -> None:
    """A server that knows no filter leaves the values unknown, and raises nothing."""
    outcomes, scope, played = asking(answer)
    assert None is outcomes.outcome_of(run_of("timeout"), scope).values
    assert [HISTORY] == played.asked


@pytest.mark.parametrize("answer", [reply({"detail": "no"}, 404), Reply(200, b"<html>"), Reply(500)])
@pytest.mark.parametrize(("run_id", "values"), [(RUN, {"n": 1}), ("another run", None)])
def test_without_a_history_the_current_state_is_used_if_the_run_wrote_it(answer: Answer, run_id: str, values: Any) -> None:
    """The id of the run in its metadata is the evidence. The history is requested once, whatever its status."""
    outcomes, scope, played = asking(answer, reply(state_json(run_id)))
    assert values == outcomes.outcome_of(run_of("timeout"), scope).values
    assert [HISTORY, STATE] == played.asked


def test_a_history_that_is_not_reached_is_requested_again() -> None:
    """A broken connection says nothing about what the server keeps."""
    outcomes, scope, played = asking(requests.ConnectionError("x"), reply([state_json()]))
    assert {"n": 1} == outcomes.outcome_of(run_of("timeout"), scope).values
    assert [HISTORY, HISTORY] == played.asked


def test_a_reported_error_needs_no_request() -> None:
    """The error came with the stream or the response."""
    outcomes, scope, played = asking()
    outcome = outcomes.outcome_of(run_of("error"), scope, values={"n": 1}, reported=GraphError("ValueError", "boom"))
    assert ("ValueError", "boom", {"n": 1}) == (outcome.error, outcome.message, outcome.values)
    assert [] == played.asked


def test_an_error_that_was_not_received_comes_from_the_thread() -> None:
    """The thread has the error of its newest run, in the server's words."""
    thread = {"thread_id": THREAD, "error": {"error": "ValueError", "message": "boom"}}
    outcomes, scope, played = asking(reply([]), reply([run_json()]), reply(thread))
    outcome = outcomes.outcome_of(run_of("error"), scope, values={"n": 1})
    assert ("ValueError", "boom") == (outcome.error, outcome.message)
    assert [HISTORY, NEWEST, THE_THREAD] == played.asked


def test_the_error_of_a_later_run_is_not_used() -> None:
    """If another run has come, the thread is not requested, and the run's own checkpoint has the error."""
    state = state_json(tasks=[{"id": "1", "error": None}, {"id": "2", "error": "ValueError('boom')"}])
    outcomes, scope, played = asking(reply([state]), reply([run_json(run_id="a later one")]))
    outcome = outcomes.outcome_of(run_of("error"), scope)
    assert ("ValueError", "boom", {"n": 1}) == (outcome.error, outcome.message, outcome.values)
    assert [HISTORY, NEWEST] == played.asked


def test_an_error_that_no_source_has_is_none() -> None:
    """The outcome is an error, whatever the responses to the requests are."""
    for answers in (
        [reply([]), reply([])],
        [Reply(500), Reply(500), Reply(500)],
        [requests.ConnectionError("x")] * 4,
    ):
        outcomes, scope, _ = asking(*answers)
        outcome = outcomes.outcome_of(run_of("error"), scope, values=1)
        assert ("error", None, None) == (outcome.status, outcome.error, outcome.message)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ValueError('boom')", ("ValueError", "boom")),
        ('ValueError("it\'s")', ("ValueError", "it's")),
        ("ValueError('a\\nb')", ("ValueError", "a\nb")),
        ("KeyError('k')", ("KeyError", "k")),
        ("ValueError()", ("ValueError", "")),
        ("ValueError(3)", ("ValueError", "3")),
        ("OSError(2, 'No such file')", ("OSError", "(2, 'No such file')")),
        ("MyError(code=3)", ("MyError", "code=3")),
        ("Boom(<object at 0x1>)", ("Boom", "<object at 0x1>")),
        ("KeyError({[]: 1})", ("KeyError", "{[]: 1}")),
        ("E(a\0b)", ("E", "a\0b")),
        ("no repr at all", (None, "no repr at all")),
        (r"Odd('\d of its own making')", ("Odd", r"'\d of its own making'")),  # Python would warn of the escape
        (r"Odd('\\d')", ("Odd", r"\d")),
        ("(1)", (None, "(1)")),
    ],
)
def test_the_repr_of_an_exception_is_read(text: str, told: Any) -> None:
    """Class and message are found where they can be, the text as it is where not; nothing is evaluated."""
    outcomes, scope, _ = asking(reply([state_json(tasks=[{"error": text}])]), Reply(500))
    outcome = outcomes.outcome_of(run_of("error"), scope)
    assert told == (outcome.error, outcome.message)


@pytest.mark.parametrize("inner", ["(" * 5000, "-" * 100_000 + "1", "[" * 100_000, "'" * 100_001, "1" * 100_000, "{" * 300])
def test_a_repr_that_cannot_be_parsed_is_the_message(inner: str) -> None:
    """Text that the parser chokes on is the message as it came."""
    outcomes, scope, _ = asking(reply([state_json(tasks=[{"error": f"E({inner})"}])]), Reply(500))
    outcome = outcomes.outcome_of(run_of("error"), scope)
    assert "E" == outcome.error
    assert outcome.message


# -- runs that ended before they were joined


def own(joined: Any, *answers: Answer) -> Tuple[RunOutcome, List[str]]:
    outcomes, scope, played = asking(*answers)
    return outcomes.own_values(run_of("success"), joined, scope), played.asked


def test_joined_values_that_are_the_runs_own() -> None:
    """The history confirms them: one request."""
    outcome, asked = own({"n": 1}, reply([state_json()]))
    assert ({"n": 1}, True, [HISTORY]) == (outcome.values, outcome.exact, asked)


def test_joined_values_of_a_later_run_are_replaced() -> None:
    """The run's own last state is its result, with the questions it ended with, where the later run is of the same graph."""
    outcome, asked = own({"n": 99}, reply([state_json()]), reply([run_json(run_id="later")]))
    assert ({"n": 1}, True, False) == (outcome.values, outcome.exact, outcome.paused)
    assert [HISTORY, NEWEST] == asked
    state = state_json(next=["ask"], interrupts=[{"value": "sure?", "id": "i"}])
    outcome, _ = own({"n": 99}, reply([state]), reply([run_json(run_id="later")]))
    assert ({"n": 1, "__interrupt__": [{"value": "sure?", "id": "i"}]}, True) == (outcome.values, outcome.paused)
    assert (Interrupt(value="sure?", id="i"),) == outcome.interrupts


@pytest.mark.parametrize("newest", [reply([run_json(run_id="later", metadata={"graph_id": "other"})]), reply([]), Reply(500)])
def test_a_state_is_uncertain_if_another_graph_may_have_hidden_values(newest: Answer) -> None:
    """The server shows a thread through the graph of its newest run: what another graph wrote may be left out of it."""
    outcome, _ = own({"n": 99}, reply([state_json()]), newest)
    assert (None, False) == (outcome.values, outcome.exact)


IDLE = reply({"thread_id": THREAD, "status": "idle"})


@pytest.mark.parametrize(
    ("newest", "values", "exact"),
    [
        (reply([run_json()]), {"n": 9}, True),
        (reply([run_json(run_id="later")]), None, False),
        (reply([]), None, False),
        (Reply(500), None, False),
    ],
)
def test_without_a_state_of_the_run_only_the_newest_run_is_exact(newest: Answer, values: Any, exact: bool) -> None:
    """If another run may have written the state, the values are not given out as this run's."""
    outcome, asked = own({"n": 9}, reply({"detail": "no such endpoint"}, 404), reply(state_json("later")), IDLE, newest)
    assert (values, exact, "success") == (outcome.values, outcome.exact, outcome.status)
    assert [HISTORY, STATE, THE_THREAD, NEWEST] == asked


OLD, YOUNG = "2026-11-21T01:00:00+00:00", "2026-11-21T02:00:00+00:00"


def runs_of(*ids_and_times: Tuple[str, str], more: int = 0) -> Reply:
    rest = [run_json(run_id=f"r{index}", created_at=f"2026-11-20T01:00:{index:02d}+00:00") for index in range(more)]
    return reply([run_json(run_id=run_id, created_at=created) for run_id, created in ids_and_times] + rest)


@pytest.mark.parametrize(
    ("answers", "newest"),
    [
        ([runs_of((RUN, YOUNG), ("other", OLD))], True),
        ([runs_of((RUN, OLD), ("other", YOUNG))], False),  # the oldest run comes first
        ([runs_of(("other", OLD), (RUN, YOUNG))], True),
        ([runs_of((RUN, YOUNG), ("other", YOUNG))], None),
        ([runs_of((RUN, YOUNG), more=9)], True),  # a full page that begins with the newest run
        ([runs_of(("other", OLD), (RUN, YOUNG), more=8), runs_of(("other", OLD), (RUN, YOUNG), more=20)], True),
        ([runs_of(("other", OLD), (RUN, YOUNG), more=8), Reply(500)], None),
        ([reply([])], None),
        ([reply([run_json(created_at=None), run_json(run_id="other")])], None),
        ([Reply(500)], None),
    ],
)
def test_the_newest_run_is_found_in_either_order(answers: List[Answer], newest: Optional[bool]) -> None:
    """Servers list the newest run first, or last. What one page does not show is not known."""
    outcomes, scope, played = asking(*answers)
    assert newest is outcomes.is_newest(THREAD, RUN, scope)
    assert len(answers) == len(played.asked)


# -- runs with the status "interrupted", which is a pause on some servers


def thread_reply(status: str, **fields: Any) -> Reply:
    return reply({"thread_id": THREAD, "status": status, **fields})


ASKING = state_json(next=["ask"], tasks=[{"id": "1", "interrupts": [{"value": "sure?", "id": "i"}]}])
QUESTION = Interrupt(value="sure?", id="i")


def test_an_interrupted_run_whose_own_output_has_a_question_is_paused() -> None:
    """As recorded from a server: the run keeps its output. No request is needed."""
    output = {"k": 1, "__interrupt__": [{"id": "i", "value": "sure?"}]}
    run = Run(run_id=RUN, thread_id=THREAD, status="interrupted", extra={"output": output})
    outcomes, scope, played = asking()
    outcome = outcomes.outcome_of(run, scope, values=output)
    assert ("success", True, (QUESTION,), output) == (outcome.status, outcome.paused, outcome.interrupts, outcome.values)
    assert None is error_for(outcome)
    assert [] == played.asked


def test_an_interrupted_run_with_a_question_in_its_state_is_paused() -> None:
    """The thread is interrupted, without an error, and the run is its newest one."""
    outcomes, scope, played = asking(thread_reply("interrupted"), reply([run_json()]), reply([ASKING]))
    outcome = outcomes.outcome_of(run_of("interrupted"), scope)
    assert ("success", True, (QUESTION,)) == (outcome.status, outcome.paused, outcome.interrupts)
    assert {"n": 1, "__interrupt__": [{"value": "sure?", "id": "i"}]} == outcome.values
    assert [THE_THREAD, NEWEST, HISTORY] == played.asked


@pytest.mark.parametrize(
    "thread",
    [
        thread_reply("idle"),
        thread_reply("error"),
        # As the Python server has it after a cancel.
        thread_reply("interrupted", error={"error": "UserInterrupt", "message": "interrupt requested"}),
    ],
)
def test_an_interrupted_run_was_cancelled_if_the_thread_shows_no_pause(thread: Answer) -> None:
    """A cancelled run can have questions: one of its nodes had asked while another one worked."""
    outcomes, scope, played = asking(thread, reply([run_json()]))
    values = {"__interrupt__": [{"value": "sure?"}]}
    outcome = outcomes.outcome_of(run_of("interrupted"), scope, values=values)
    assert ("interrupted", False, values) == (outcome.status, outcome.paused, outcome.values)
    assert [THE_THREAD, NEWEST] == played.asked


def test_the_thread_of_a_later_run_says_nothing_about_an_interrupted_run() -> None:
    """The run's own state has the question that it ended with."""
    later = reply([run_json(run_id="later")])
    outcomes, scope, _ = asking(thread_reply("idle"), later, reply([ASKING]))
    assert outcomes.outcome_of(run_of("interrupted"), scope).paused
    outcomes, scope, _ = asking(thread_reply("interrupted"), later, reply([state_json(next=["work"])]))
    outcome = outcomes.outcome_of(run_of("interrupted"), scope, values={"n": 1})
    assert ("interrupted", False) == (outcome.status, outcome.paused)


def test_a_busy_thread_is_requested_again() -> None:
    """A server may set the status of the thread after that of the run."""
    busy = thread_reply("busy")
    outcomes, scope, played = asking(busy, busy, thread_reply("interrupted"), reply([run_json()]), reply([ASKING]))
    assert outcomes.outcome_of(run_of("interrupted"), scope).paused
    assert [THE_THREAD] * 3 + [NEWEST, HISTORY] == played.asked


def test_a_cancelled_run_that_has_a_reason_sends_no_request() -> None:
    """The reason is the evidence."""
    run = Run(run_id=RUN, thread_id=THREAD, status="interrupted", extra={"cancel_reason": "user"})
    outcomes, scope, played = asking()
    assert "interrupted" == outcomes.outcome_of(run, scope, values={"n": 1}).status
    assert [] == played.asked


# -- what a server keeps with the run


def kept(status: str, **extra: Any) -> Run:
    return Run(run_id=RUN, thread_id=THREAD, status=status, extra=extra)


def test_values_that_the_run_itself_has_are_its_own() -> None:
    """No request is needed to know that they are not those of a later run."""
    outcomes, scope, played = asking()
    outcome = outcomes.own_values(kept("success", output={"n": 1}), {"n": 99}, scope)
    assert ({"n": 1}, True, []) == (outcome.values, outcome.exact, played.asked)


def test_the_error_message_of_a_run() -> None:
    """The class comes from the state with the same message."""
    failed = kept("error", output={}, error_message="boom")
    outcomes, scope, _ = asking(reply([state_json(tasks=[{"error": "ValueError('boom')"}])]))
    outcome = outcomes.outcome_of(failed, scope)
    assert ("ValueError", "boom", {"n": 1}) == (outcome.error, outcome.message, outcome.values)
    outcomes, scope, _ = asking(reply([state_json(tasks=[{"error": "ValueError('other')"}])]))
    outcome = outcomes.outcome_of(failed, scope)
    assert (None, "boom") == (outcome.error, outcome.message)


def test_an_error_event_that_says_nothing_is_no_reason() -> None:
    """The reason is then looked for elsewhere."""
    thread = {"thread_id": THREAD, "error": {"error": "ValueError", "message": "boom"}}
    outcomes, scope, _ = asking(reply([]), reply([run_json()]), reply(thread))
    outcome = outcomes.outcome_of(run_of("error"), scope, values={"n": 1}, reported=GraphError(None, None))
    assert ("ValueError", "boom") == (outcome.error, outcome.message)


def test_a_pause_that_the_values_hide_is_found() -> None:
    """If something is left to do, the run has paused; one request. For a failed run nothing is requested."""
    state = state_json(next=["ask"], tasks=[{"id": "1", "interrupts": [{"value": "sure?"}]}])
    outcomes, scope, played = asking(reply([state]))
    outcome = outcomes.look_for_pause(RunOutcome(status="success", run=run_of("success")), THREAD, scope)
    assert (True, (Interrupt(value="sure?"),)) == (outcome.paused, outcome.interrupts)
    failed = RunOutcome(status="error", run=run_of("error"))
    assert failed is outcomes.look_for_pause(failed, THREAD, scope)
    assert [HISTORY] == played.asked


def test_a_pause_without_a_state_of_the_run_is_seen_at_the_thread() -> None:
    """A resumed run that stops in the same node writes no state of its own."""
    questions = {"task": [{"value": "sure?", "id": "i"}]}
    outcomes, scope, played = asking(reply([]), thread_reply("interrupted", interrupts=questions), reply([run_json()]))
    outcome = outcomes.look_for_pause(RunOutcome(status="success", run=run_of("success")), THREAD, scope)
    assert (True, (QUESTION,)) == (outcome.paused, outcome.interrupts)
    assert [HISTORY, THE_THREAD, NEWEST] == played.asked


def test_an_ended_call_does_not_take_the_end_of_the_connection_for_a_response() -> None:
    """A failure that is due to the caller's own abort or deadline is raised, and not taken for "not known"."""

    def abort(_: Any) -> Any:
        scope.interrupt("enough")
        raise ConnectionResetError

    outcomes, scope, played = asking(abort)
    with pytest.raises(LangGraphRunsError, match="aborted: enough"):
        outcomes.outcome_of(run_of("timeout"), scope)
    assert 1 == len(played.asked)


# -- cancelling late


@pytest.mark.parametrize(
    ("answer", "warned"), [(Reply(202), False), (reply({"detail": "No matching runs"}, 404), False), (Reply(500), True)]
)
def test_a_late_cancel_never_raises(answer: Answer, warned: bool, caplog: pytest.LogCaptureFixture) -> None:
    """A run that has ended by itself is fine; any other failure is a warning in the log, since an error is on its way already."""
    outcomes, _, played = asking(answer)
    outcomes.cancel_late(THREAD, RUN)
    assert [f"POST /threads/{THREAD}/runs/{RUN}/cancel?wait=0&action=interrupt"] == played.asked
    assert warned is any(record.levelno == logging.WARNING for record in caplog.records)


@pytest.mark.parametrize(("thread_id", "run_id"), [(None, RUN), (THREAD, None)])
def test_a_run_that_is_not_known_cannot_be_cancelled(
    thread_id: Optional[str], run_id: Optional[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is sent, and the log says so."""
    outcomes, _, played = asking()
    outcomes.cancel_late(thread_id, run_id)
    assert [] == played.asked
    assert "the run is not known" in caplog.text
