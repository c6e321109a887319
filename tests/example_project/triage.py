"""Somebody's program: it lets an agent answer support tickets, and asks a human where the agent does."""

from __future__ import annotations

from typing import Any, Callable, Optional

from langgraph_runs import Client, DeadlineExceededError, Run, RunFailedError, StreamEvent

URL = None  # that of the environment


class TicketError(Exception):
    """The agent could not answer."""


def answer(ticket: str, client: Optional[Client] = None) -> str:
    """The agent's answer to a ticket."""
    client = client or Client(URL)
    try:
        values = client.runs.wait(None, "agent", input={"ticket": ticket}, metadata={"source": "mail"}, timeout=10)
    except RunFailedError as error:
        raise TicketError(f"{error.error}: {error.message}") from error
    return str(values["answer"])


def answer_with_review(client: Client, thread_id: str, ticket: str, decide: Callable[[Any], str]) -> Any:
    """The same, where the agent may first ask: `decide` is given the question."""
    outcome = client.runs.wait(thread_id, "agent", input={"ticket": ticket}, raise_error=False)
    while outcome.paused:
        reply = decide(outcome.interrupts[0].value)
        outcome = client.runs.wait(thread_id, "agent", command={"resume": reply}, raise_error=False)
    return outcome.values


def spell(client: Client, thread_id: str, show: Callable[[str], None]) -> None:
    """Show the words of an answer as they come."""
    with client.runs.stream(thread_id, "agent", input={}, stream_mode="messages-tuple") as stream:
        for event in stream:
            show(word(event))


def word(event: StreamEvent) -> str:
    """What is new in an event."""
    return str(event.data[0]["content"]) if event.mode == "messages" else ""


def answer_quickly(client: Client, thread_id: str) -> Optional[Any]:
    """An answer within a second, or None; then the run is cancelled."""
    try:
        return client.runs.wait(thread_id, "agent", input={}, timeout=0.5, on_timeout="cancel")
    except DeadlineExceededError:
        return None


def line_of(run: Run) -> str:
    """A run in a report."""
    seconds = (run.updated_at - run.created_at).total_seconds() if run.created_at and run.updated_at else 0
    return f"{run.metadata['graph_id']}: {run.status} after {seconds:.0f} s"
