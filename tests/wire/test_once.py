"""Creating runs under faults: each create makes exactly one run, or says that it cannot know, and then there is one at the most."""

from __future__ import annotations

import datetime
import threading
import uuid
from collections.abc import Iterator
from typing import Any, Callable, Optional

import pytest

from langgraph_runs import (
    APIConnectionError,
    Client,
    ConflictError,
    CreateUncertainError,
    InternalServerError,
    LangGraphRunsError,
    RetryPolicy,
    Run,
    RunsCreatePayload,
)
from langgraph_runs.runs import prepare_start
from langgraph_runs.testing.cutting_proxy import (
    CuttingProxy,
    Fault,
    cut_request,
    cut_response,
    refuse,
    seeded,
    stall_request,
    stall_response,
    swallow,
)
from langgraph_runs.testing.loopback_server import ReplySource

from .calls import CREATES, QUICK, Call, after, hasty, named
from .fake_langgraph import Dialect, FakeLangGraph, FakeRun, burst
from .scripted import (
    RUN_ID,
    THREAD_ID,
    Reply,
    Request,
    ScriptedServer,
    drop_before_answer,
    raw,
    reply,
    reply_json,
    reset_before_answer,
    run_headers,
    run_json,
    sse,
    stall,
)

Connect = Callable[..., Client]

#: Numbered events of each run that is started here.
EVENTS = 5
INPUT = {"n": EVENTS}
NUMBERS = list(range(EVENTS))


class Starter:
    """One way to start a run on a new thread and to see what came of it."""

    def __init__(self, way: str) -> None:
        self.way = way
        self.thread_id = str(uuid.uuid4())
        self.run_id: Optional[str] = None
        self.told: list[Any] = []
        self.error: Optional[LangGraphRunsError] = None

    def __call__(self, client: Client, **options: Any) -> None:
        """Start it, and check that what comes back is complete."""
        options = {"input": INPUT, "if_not_exists": "create", "on_run_created": self.told.append, **options}
        thread_id = options.pop("thread_id", self.thread_id)
        try:
            if self.way == "create":
                run = client.runs.create(thread_id, "agent", **options)
                self.run_id = run.run_id
            elif self.way == "wait":
                assert INPUT == client.runs.wait(thread_id, "agent", **options)
                self.run_id = self.told[0]["run_id"]
            else:
                with client.runs.stream(thread_id, "agent", stream_mode=["custom", "values"], **options) as stream:
                    events = list(stream)
                assert NUMBERS == [event.data["i"] for event in events if event.event == "custom"]
                assert ["metadata", *["custom"] * EVENTS, "values"] == [event.event for event in events]
                self.run_id = stream.run_id
        except CreateUncertainError as error:
            self.error = error

    def check(self, server: FakeLangGraph) -> None:
        """Exactly one run, which the call has returned; or an error that says there may be one, and there is at most one."""
        made = [run for run in server.created if run.thread_id == self.thread_id]
        if self.error is None:
            assert [self.run_id] == [run.run_id for run in made]
            assert [{"run_id": self.run_id, "thread_id": self.thread_id}] == self.told
        else:
            assert len(made) <= 1


def sizes(proxy: CuttingProxy, client: Client, way: str) -> tuple[int, int]:
    """How many bytes the request and the response of this way to start a run have."""
    before = len(proxy.turns)
    Starter(way)(client)
    turn = next(turn for turn in proxy.turns[before:] if turn.first.startswith(b"POST"))
    return turn.request, turn.response


def faults(request: int, answer: int, *, reset: bool) -> Iterator[Fault]:
    yield refuse(reset=reset)
    for count in range(request + 1):
        yield cut_request(count, reset=reset)
    for count in range(answer + 1):
        yield cut_response(count, reset=reset)


@pytest.mark.slow
@pytest.mark.parametrize("share", range(3))
@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
@pytest.mark.parametrize("way", ["create", "wait", "stream"])
def test_a_fault_at_every_byte(connect: Connect, way: str, reset: bool, share: int) -> None:
    """Wherever the connection breaks, in the request or in the response, there is one run, and the call gives its whole result."""
    uncertain = 0
    with FakeLangGraph(burst) as server, CuttingProxy(server.url) as proxy:
        client = hasty(connect(proxy.url))
        places = list(faults(*sizes(proxy, client, way), reset=reset))
        assert 600 < len(places)
        for fault in places[share::3]:
            proxy.arm(fault, when=b"POST /threads")
            starter = Starter(way)
            starter(client)
            assert 0 == proxy.armed
            starter.check(server)
            uncertain += starter.error is not None

    assert 0 == uncertain


@pytest.mark.slow
@pytest.mark.parametrize("way", ["create", "wait", "stream"])
def test_a_stall_anywhere(connect: Connect, way: str) -> None:
    """Silence in the middle of a request or of its response is a dead connection like any other."""
    with FakeLangGraph(burst, Dialect(heartbeat=None)) as server, CuttingProxy(server.url) as proxy:
        client = hasty(connect(proxy.url, read_timeout=0.2))
        request, answer = sizes(proxy, client, way)
        places = [stall_request(count) for count in range(0, request + 1, 40)]
        places += [stall_response(count) for count in range(0, answer + 1, 40)]
        for fault in places:
            proxy.arm(fault, when=b"POST /threads")
            starter = Starter(way)
            starter(client)
            starter.check(server)
            # A request that the server has not read completely may be executed later, for all that the client knows.
            assert starter.error is None or fault.where == "request"


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("way", ["create", "wait", "stream"])
def test_faults_on_every_kind_of_request(connect: Connect, way: str, seed: int) -> None:
    """With a third of all connections broken, the look-ups included, no run is doubled and none is lost unseen."""
    with FakeLangGraph(burst) as server, CuttingProxy(server.url, seeded(seed, longest=1200)) as proxy:
        client = hasty(connect(proxy.url, retry=RetryPolicy(attempts=8, wait_initial=0, budget=None)))
        for _ in range(12):
            starter = Starter(way)
            starter(client)
            starter.check(server)


@pytest.mark.parametrize("seed", range(4))
def test_many_threads_under_faults(connect: Connect, seed: int) -> None:
    """The same from 16 threads on one client and one busy thread of the server: each gets its own run."""
    thread_id = str(uuid.uuid4())
    found: list[str] = []
    with FakeLangGraph(burst) as server, CuttingProxy(server.url) as proxy:
        client = hasty(connect(proxy.url, retry=RetryPolicy(attempts=24, wait_initial=0, budget=None)))
        client.runs.create(thread_id, "agent", if_not_exists="create", metadata={"number": -1})
        proxy.choose_fault = seeded(seed, longest=800)

        def create(number: int) -> None:
            for step in range(4):
                run = client.runs.create(thread_id, "agent", metadata={"number": 4 * number + step})
                assert 4 * number + step == run.metadata["number"]
                found.append(run.run_id)

        threads = [threading.Thread(target=create, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        made = {run.run_id: run.body["metadata"]["number"] for run in server.created[1:]}

    assert list(range(64)) == sorted(made.values())
    assert sorted(made) == sorted(found)


# -- stateless


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
def test_a_stateless_create_is_found_by_its_marker_or_uncertain(connect: Connect, reset: bool) -> None:
    """Its thread, which the server has made, has the marker. If there is none, the run may have ended: nothing is sent again."""
    gate = threading.Event()

    def slow(run: FakeRun) -> Any:
        run.wait(gate)
        return burst(run)

    with FakeLangGraph(slow) as server, CuttingProxy(server.url) as proxy:
        client = connect(proxy.url, retry=QUICK)
        for fault in (cut_request(5, reset=reset), swallow(reset=reset), cut_response(9, reset=reset)):
            gate.clear()
            before = len(server.created)
            proxy.arm(fault, when=b"POST /runs")
            starter = Starter("create")
            threading.Timer(1.0, gate.set).start()
            starter(client, thread_id=None, if_not_exists=None)
            made = server.created[before:]
            assert len(made) == (fault.where == "response")
            if made:
                assert [starter.error, starter.run_id] == [None, made[0].run_id]
            else:
                assert isinstance(starter.error, CreateUncertainError)
                assert str(uuid.UUID(starter.error.request_id)) == starter.error.request_id
                assert starter.error.sent is not False and starter.error.__cause__ is not None
                assert [] == starter.told


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
@pytest.mark.parametrize("way", ["wait", "stream"])
def test_a_stateless_call_makes_one_run_through_faults(connect: Connect, way: str, reset: bool) -> None:
    """Its run is looked up on the thread that the library has chosen, and the thread is deleted afterwards."""
    with FakeLangGraph(burst, Dialect(stateless=False)) as server, CuttingProxy(server.url) as proxy:
        client = hasty(connect(proxy.url))
        for fault in (
            cut_request(5, reset=reset),
            swallow(reset=reset),
            cut_response(9, reset=reset),
            cut_response(450, reset=reset),
        ):
            before = len(server.created)
            proxy.arm(fault, when=b"POST /threads")
            starter = Starter(way)
            starter(client, thread_id=None, if_not_exists=None)
            assert starter.error is None
            assert [starter.run_id] == [run.run_id for run in server.created[before:]]
            assert [server.created[-1].thread_id] == [told["thread_id"] for told in starter.told]
            assert {} == server.threads


@pytest.mark.parametrize("fault", [cut_request(40), swallow(), cut_response(50)], ids=["request", "swallow", "response"])
def test_a_batch_whose_response_is_lost_is_found_by_its_marker(connect: Connect, fault: Fault) -> None:
    """In the order of the items, and without a second request for them; if none is found, it is uncertain."""
    gate = threading.Event()

    def slow(run: FakeRun) -> Any:
        run.wait(gate)
        return {}

    with FakeLangGraph(slow) as server, CuttingProxy(server.url) as proxy:
        proxy.arm(fault)
        client = hasty(connect(proxy.url))
        items = [{"assistant_id": "agent", "input": {"n": n}} for n in range(5)]
        try:
            runs = client.runs.create_batch(items, max_items=3)
        except CreateUncertainError as error:
            assert (0, (0, 1, 2), {}) == (len(server.created), error.uncertain, error.created)
            assert error.request_id
        else:
            assert fault.where == "response"
            assert list(range(5)) == [run.kwargs["input"]["n"] for run in runs]
            assert [run.run_id for run in server.created] == [run.run_id for run in runs]
        gate.set()


def test_a_batch_of_which_some_runs_are_found_names_them(connect: Connect) -> None:
    """The threads of the others may be deleted already: these places are uncertain."""

    class Ended(FakeLangGraph):
        def choose(self, method: str, path: str) -> Any:
            if method == "GET":
                self.wait_until(lambda: all(run.done for run in self.created), "the end of all runs")
            return super().choose(method, path)

    with Ended(burst) as server, CuttingProxy(server.url) as proxy:
        proxy.arm(cut_response(50))
        items = [{"assistant_id": "agent", "on_completion": "keep" if n else "delete"} for n in range(3)]
        with pytest.raises(CreateUncertainError) as caught:
            hasty(connect(proxy.url)).runs.create_batch(items)

        assert 3 == len(server.created)
    assert (0,) == caught.value.uncertain
    assert {1: server.created[1].run_id, 2: server.created[2].run_id} == {n: run.run_id for n, run in caught.value.created.items()}


@pytest.mark.parametrize("call", CREATES, ids=str)
def test_a_create_that_surely_was_not_sent_is_sent(connect: Connect, call: Call) -> None:
    """If no connection came about nothing can have happened: every create is tried again."""
    with ScriptedServer(call.good, routes=after(call)) as server, CuttingProxy(server.url) as proxy:
        proxy.refuse()
        heard: list[Any] = []

        def listen(details: Any) -> None:
            heard.append(details.error)
            if len(heard) == 2:
                proxy.listen()

        call(connect(proxy.url, retry=RetryPolicy(wait_initial=0, on_retry=listen)))

        assert [False, False] == [error.sent for error in heard]


@pytest.mark.parametrize("call", CREATES, ids=str)
def test_a_create_that_was_refused_is_sent_again(connect: Connect, call: Call) -> None:
    """429, and 503 with Retry-After, are refusals: the create is sent again as it was."""
    busy = reply(503, "overloaded", {"Retry-After": "0"})
    with ScriptedServer(reply(429), busy, call.good, routes=after(call)) as server:
        call(connect(server.url))

        sent = [request.raw for request in server.requests if request.method == "POST" and request.path == call.path]
    assert 3 == len(sent)
    assert 1 == len(set(sent))


@pytest.mark.parametrize("call", CREATES, ids=str)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
def test_a_refused_create_is_not_looked_up(connect: Connect, call: Call, status: int) -> None:
    """A create that the server refused for good is not repeated, and nothing is looked up."""
    with ScriptedServer(reply_json(status, {"detail": "no"})) as server:
        with pytest.raises(LangGraphRunsError, match="no"):
            call(connect(server.url))
        assert 1 == len(server.requests)


def test_a_missing_file_of_certificates_is_found_before_anything_is_sent() -> None:
    client = hasty(Client("https://127.0.0.1:9", api_key=None, verify="/no/such/ca.pem", retry=QUICK))
    with pytest.raises(APIConnectionError, match="could not connect") as caught:
        client.runs.create(THREAD_ID, "agent")
    assert (False, QUICK.attempts) == (caught.value.sent, caught.value.attempts)
    assert not isinstance(caught.value, CreateUncertainError)


# -- what gateways say


#: In front of a server that is away, or does not have a route.
GATEWAY_404 = {
    "page": reply(404, "<html>nginx</html>", {"Content-Type": "text/html"}),
    "json": reply_json(404, {"detail": "Not Found"}),
}


@pytest.mark.parametrize("way", ["create", "wait", "stream"])
@pytest.mark.parametrize("answer", GATEWAY_404.values(), ids=GATEWAY_404)
def test_a_404_of_a_gateway_does_not_show_that_there_is_no_run(connect: Connect, way: str, answer: Reply) -> None:
    """The server has created the run; the gateway answers every look-up with a 404. A second run is not made."""
    posts: list[Request] = []

    def create(request: Request) -> Reply:
        posts.append(request)
        return drop_before_answer()

    place = f"/threads/{THREAD_ID}/runs{'' if way == 'create' else '/' + way}"
    with ScriptedServer(routes={("POST", place): create}, always=answer) as server:
        starter = Starter(way)
        starter(hasty(connect(server.url)), thread_id=THREAD_ID)
    assert isinstance(starter.error, CreateUncertainError)
    assert 1 == len(posts)


@pytest.mark.parametrize("status", [408, 504, 522, 524])
@pytest.mark.parametrize("way", ["create", "wait", "stream"])
def test_a_create_that_arrives_after_its_timeout_is_not_sent_again(connect: Connect, way: str, status: int) -> None:
    """The list is complete and empty, and yet the server executes the create later: after a timeout absence is never known."""
    posts: list[Request] = []

    def gateway(request: Request) -> Reply:
        posts.append(request)
        return reply(status, "<html>timeout</html>", {"Content-Type": "text/html"})

    place = f"/threads/{THREAD_ID}/runs{'' if way == 'create' else '/' + way}"
    with ScriptedServer(routes={("POST", place): gateway, ("GET", "/threads/*/runs"): listing()}) as server:
        starter = Starter(way)
        starter(hasty(connect(server.url)), thread_id=THREAD_ID)
    assert isinstance(starter.error, CreateUncertainError)
    assert 1 == len(posts)


@pytest.mark.parametrize("refusal", [409, 422])
def test_on_a_thread_of_its_own_the_refusal_of_the_server_leads_to_the_run(connect: Connect, refusal: int) -> None:
    """The create is sent again, with ``reject``, if the server is known to keep the strategy; the run of the first attempt is found."""
    posts: list[Request] = []

    def create(request: Request) -> Reply:
        posts.append(request)
        if len(posts) == 1:
            return reply(504)
        return reply_json(refusal, {"detail": "Thread is already running a task."})

    def runs(request: Request) -> Reply:
        return listing(ours(posts[0])) if len(posts) == 2 else listing()

    with ScriptedServer(routes={("POST", "/threads/*/runs"): create, ("GET", "/threads/*/runs"): runs}) as server:
        client = hasty(connect(server.url))
        starter = client.runs._starter
        starter.traits.keeps_strategy = True
        start = prepare_start("create", RunsCreatePayload, starter.creator, THREAD_ID, "agent", None, {}, own_thread=True)
        with start.options.scope(client._transport) as scope:
            assert RUN_ID == starter.create(start, scope).run_id
    assert ["reject", "reject"] == [request.json()["multitask_strategy"] for request in posts]


class SentTwice(FakeLangGraph):
    """What a server gets behind a proxy that sends each create twice, and passes the second response on."""

    def choose(self, method: str, path: str) -> ReplySource:
        reply_to = super().choose(method, path)

        def twice(request: Request) -> Reply:
            assert callable(reply_to)
            if request.method == "POST" and "/runs" in request.path:
                reply_to(request)
            return reply_to(request)

        return twice


@pytest.mark.parametrize("way", ["wait", "stream"])
def test_a_refusal_because_a_proxy_has_sent_the_create_twice_leads_to_the_run(connect: Connect, way: str) -> None:
    """On a thread that only this call uses, the run in the way is its own, though no attempt has failed before."""

    def lasts(run: FakeRun) -> Any:
        run.pause(0.2)
        return burst(run)

    with SentTwice(lasts) as server:
        starter = Starter(way)
        starter(hasty(connect(server.url)), thread_id=None, if_not_exists=None)
        assert starter.error is None
        assert [starter.run_id] == [run.run_id for run in server.created]
        assert {} == server.threads


@pytest.mark.parametrize("keeps_strategy", [None, False])
def test_a_server_that_may_ignore_the_strategy_gets_no_second_create_after_a_timeout(
    connect: Connect, keeps_strategy: Optional[bool]
) -> None:
    with ScriptedServer(reply(504), routes={("GET", "/threads/*/runs"): listing()}) as server:
        client = hasty(connect(server.url))
        starter = client.runs._starter
        starter.traits.keeps_strategy = keeps_strategy
        start = prepare_start("create", RunsCreatePayload, starter.creator, THREAD_ID, "agent", None, {}, own_thread=True)
        with start.options.scope(client._transport) as scope, pytest.raises(CreateUncertainError):
            starter.create(start, scope)
        assert 1 == sum(request.method == "POST" for request in server.requests)


def test_a_look_up_has_the_callers_headers_and_not_the_request_id(connect: Connect) -> None:
    with ScriptedServer(
        drop_before_answer(), routes={("GET", "/threads/*/runs"): lambda _: listing(ours(server.requests[0]))}
    ) as server:
        connect(server.url).runs.create(THREAD_ID, "agent", headers={"Authorization": "Bearer mine"})
        look = server.requests[1]
    assert ("Bearer mine", None) == (look.header("Authorization"), look.header("x-request-id"))


def listing(*runs: Any) -> Reply:
    return reply_json(200, list(runs))


def ours(request: Request, **fields: Any) -> Any:
    """A run that this request has created, as a server shows it that keeps the request id and the metadata."""
    configurable = {"langgraph_request_id": request.header("x-request-id")}
    metadata = request.json()["metadata"]
    return run_json("running", kwargs={"config": {"configurable": configurable}}, metadata=metadata, **fields)


@pytest.mark.parametrize("status", [502, 503, 504])
@pytest.mark.parametrize("way", ["create", "wait", "stream"])
def test_a_gateway_that_gave_up_leaves_one_run(connect: Connect, way: str, status: int) -> None:
    """After 502, 503 or 504 the run is looked up: the one that exists is returned."""

    def gateway(request: Request) -> Reply:
        # the request reaches the server, its answer is lost in the gateway
        server._reply_to(request)
        return reply(status, "<html><body>gateway</body></html>", {"Content-Type": "text/html"})

    with FakeLangGraph(burst) as server:
        starter = Starter(way)
        place = f"/threads/{starter.thread_id}/runs{'' if way == 'create' else '/' + way}"
        with ScriptedServer(routes={("POST", place): gateway}, always=lambda request: server._reply_to(request)) as front:
            starter(hasty(connect(front.url)))
        starter.check(server)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_gateway_before_a_server_that_is_down(connect: Connect, status: int) -> None:
    """If the look-up shows that nothing was created, the create is sent again."""
    with FakeLangGraph(burst) as server:
        starter = Starter("create")
        server.instead("POST", f"/threads/{starter.thread_id}/runs", reply(status))
        starter(hasty(connect(server.url)))
        starter.check(server)


def test_the_error_of_a_gateway_that_keeps_failing_is_raised(connect: Connect) -> None:
    """If every attempt ends in 502 and nothing was created, the 502 is the error."""
    with ScriptedServer(routes={("GET", "/threads/*/runs"): listing()}, always=reply(502)) as server:
        with pytest.raises(InternalServerError) as caught:
            hasty(connect(server.url)).runs.create(THREAD_ID, "agent")
        posts = [request for request in server.requests if request.method == "POST"]

    assert 502 == caught.value.status_code
    assert QUICK.attempts == len(posts)


# -- looking


def test_a_run_that_is_created_late_is_found(connect: Connect) -> None:
    """The look-up is repeated for a time, since the server may still be at it; the create is not sent again meanwhile."""
    looks: list[Request] = []

    def runs(request: Request) -> Reply:
        looks.append(request)
        return listing(ours(server.requests[0])) if len(looks) == 4 else listing()

    with ScriptedServer(drop_before_answer(), routes={("GET", "/threads/*/runs"): runs}) as server:
        run = connect(server.url).runs.create(THREAD_ID, "agent")
        assert 1 == sum(request.method == "POST" for request in server.requests)

    assert RUN_ID == run.run_id
    assert 4 == len(looks)
    assert looks[3].at - looks[0].at > 0.3


def test_other_runs_of_the_thread_are_not_taken_for_the_new_one(connect: Connect) -> None:
    """A run of another program, created at the same moment, is not returned; the run of the create is found on a later page."""

    def runs(request: Request) -> Reply:
        others = [run_json(run_id=f"other{n}", kwargs=with_id(f"theirs{n}")) for n in range(20)]
        if "offset=0" in request.query:
            return listing(*others)
        return listing(others[-1], ours(server.requests[0], run_id="mine"))

    with ScriptedServer(drop_before_answer(), routes={("GET", "/threads/*/runs"): runs}) as server:
        run = connect(server.url).runs.create(THREAD_ID, "agent")

    assert "mine" == run.run_id


def with_id(request_id: Optional[str]) -> Any:
    return {"config": {"configurable": {"langgraph_request_id": request_id}}}


def test_a_look_up_that_fails_leaves_it_uncertain(connect: Connect) -> None:
    """If the look-up fails, the error says what is known; nothing is sent again."""
    with ScriptedServer(drop_before_answer(), routes={("GET", "/threads/*/runs"): reply(500)}) as server:
        with pytest.raises(CreateUncertainError, match="looking it up failed") as caught:
            hasty(connect(server.url)).runs.create(THREAD_ID, "agent")
        assert 1 == sum(request.method == "POST" for request in server.requests)

    assert server.requests[0].header("x-request-id") == caught.value.request_id
    assert THREAD_ID == caught.value.thread_id


def test_runs_that_do_not_say_who_made_them_leave_it_uncertain(connect: Connect) -> None:
    """A server whose runs carry no request id cannot show the run of the create: if a run is new, no second create is sent."""
    others = listing(run_json(kwargs={}, created_at=now()))
    with ScriptedServer(drop_before_answer(), routes={("GET", "/threads/*/runs"): others}) as server:
        with pytest.raises(CreateUncertainError):
            hasty(connect(server.url)).runs.create(THREAD_ID, "agent")
        assert 1 == sum(request.method == "POST" for request in server.requests)


def now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat()


@pytest.mark.parametrize("kwargs", [{}, with_id("another")], ids=["no id", "another id"])
def test_runs_from_before_the_create_are_not_taken_for_the_new_one(connect: Connect, kwargs: Any) -> None:
    """If every run of the thread is older than the create, it made none: it is sent again."""
    old = listing(run_json(kwargs=kwargs, created_at="2020-01-01T00:00:00+00:00"))
    create = named("create").good
    with ScriptedServer(drop_before_answer(), create, routes={("GET", "/threads/*/runs"): old}) as server:
        hasty(connect(server.url)).runs.create(THREAD_ID, "agent")
        assert 2 == sum(request.method == "POST" for request in server.requests)


def test_a_new_run_without_a_marker_leaves_it_uncertain_until_the_server_is_known_to_keep_metadata(connect: Connect) -> None:
    others = listing(run_json(kwargs=with_id("another"), created_at=now()))

    def create(request: Request) -> Reply:
        posts.append(request)
        return drop_before_answer() if len(posts) in (1, 3) else reply_json(200, ours(request))

    posts: list[Request] = []
    with ScriptedServer(routes={("GET", "/threads/*/runs"): others, ("POST", "/threads/*/runs"): create}) as server:
        client = hasty(connect(server.url))
        with pytest.raises(CreateUncertainError):
            client.runs.create(THREAD_ID, "agent")
        client.runs.create(THREAD_ID, "agent")
        client.runs.create(THREAD_ID, "agent")

    assert 4 == len(posts)


@pytest.mark.parametrize("warm", [False, True], ids=["first call", "after another create"])
@pytest.mark.parametrize("way", ["create", "wait", "stream"])
def test_a_server_that_does_not_keep_the_request_id(connect: Connect, way: str, warm: bool) -> None:
    """Every run has an id that the server made: the run is found by its metadata, or is uncertain; there is never a second run."""
    with FakeLangGraph(burst, Dialect(keeps_request_id=False)) as server, CuttingProxy(server.url) as proxy:
        for fault in (swallow(), cut_response(40), cut_request(60), cut_request(300, reset=True)):
            client = hasty(connect(proxy.url))
            if warm:
                client.runs.create(str(uuid.uuid4()), "agent", if_not_exists="create")
            starter = Starter(way)
            proxy.arm(fault, when=b"POST")
            starter(client)
            starter.check(server)
            if warm:
                assert starter.error is None


def test_the_marker_is_in_the_metadata_of_every_run_and_the_caller_does_not_see_it(connect: Connect) -> None:
    """Each create sends a marker of its own; what is read back has the caller's metadata, and the marker as ``request_id``."""
    with FakeLangGraph(burst, Dialect(keeps_request_id=False)) as server:
        client = connect(server.url)
        thread_id = str(uuid.uuid4())
        runs = [client.runs.create(thread_id, "agent", if_not_exists="create", metadata={"mine": n}) for n in range(2)]
        runs += [client.runs.create(None, "agent", metadata={"mine": 2})]
        runs += client.runs.create_batch([{"assistant_id": "agent", "metadata": {"mine": n}} for n in (3, 4)])
        sent = [run.body["metadata"] for run in server.created]
        listed = client.runs.list(thread_id, metadata={"mine": 1})
        thread = client.threads.get(thread_id)

    markers = [metadata["langgraph_runs_request_id"] for metadata in sent]
    assert list(range(5)) == [metadata["mine"] for metadata in sent] == [run.metadata["mine"] for run in runs]
    assert 4 == len(set(markers)) and markers[3] == markers[4]
    assert [0, 1] == [metadata["langgraph_runs_batch_item"] for metadata in sent[3:]]
    assert markers == [run.request_id for run in runs]
    assert [runs[1].run_id] == [run.run_id for run in listed]
    for shown in (*[run.metadata for run in runs], *[run.kwargs["config"]["metadata"] for run in runs], thread.metadata):
        assert [] == [name for name in shown if name.startswith("langgraph_runs")]


def test_a_request_id_of_the_callers_own_is_what_the_run_shows(connect: Connect) -> None:
    with FakeLangGraph(burst) as server:
        client = connect(server.url)
        ids = [client.runs.create(None, "agent", headers={"X-Request-Id": "job 7"}).request_id for _ in range(2)]
        markers = {run.body["metadata"]["langgraph_runs_request_id"] for run in server.created}

    assert ["job 7"] * 2 == ids
    assert 2 == len(markers)


@pytest.mark.parametrize("way", ["create", "wait", "stream"])
def test_a_request_id_of_the_callers_own_proves_nothing(connect: Connect, way: str) -> None:
    """It may have served other requests: a run that has it is not returned blindly, and no second one is made."""
    with FakeLangGraph(burst) as server, CuttingProxy(server.url) as proxy:
        client = hasty(connect(proxy.url))
        for fault in (swallow(), cut_request(60)):
            starter = Starter(way)
            proxy.arm(fault, when=b"POST")
            starter(client, headers={"x-request-id": "mine"})
            starter.check(server)


def test_an_earlier_run_with_the_same_request_id_is_not_taken_for_the_new_one(connect: Connect) -> None:
    """Two creates under one request id of the caller's: the second, whose response is lost, does not return the first."""
    thread_id = str(uuid.uuid4())
    with FakeLangGraph(burst) as server, CuttingProxy(server.url) as proxy:
        client = hasty(connect(proxy.url))
        first = client.runs.create(thread_id, "agent", if_not_exists="create", headers={"X-Request-Id": "mine"})
        proxy.arm(cut_request(60), when=b"POST")
        try:
            second: Optional[Run] = client.runs.create(thread_id, "agent", headers={"X-Request-Id": "mine"})
        except CreateUncertainError:
            second = None

    assert second is None or second.run_id != first.run_id
    assert len(server.created) == (1 if second is None else 2)


# -- busy threads


def test_a_409_because_of_an_earlier_attempt_is_no_conflict(connect: Connect) -> None:
    """A 409 on a repeat, because our own first attempt came through late, is no conflict: that run is the result."""
    posts: list[Request] = []

    def runs(request: Request) -> Reply:
        return listing(ours(posts[0])) if len(posts) == 2 else listing()

    def create(request: Request) -> Reply:
        posts.append(request)
        return drop_before_answer() if len(posts) == 1 else reply_json(409, {"detail": "Thread is already running a task."})

    routes = {("GET", "/threads/*/runs"): runs, ("POST", "/threads/*/runs"): create}
    with ScriptedServer(routes=routes) as server:
        run = hasty(connect(server.url)).runs.create(THREAD_ID, "agent", multitask_strategy="reject")

    assert RUN_ID == run.run_id
    assert 2 == len(posts)


def test_a_409_because_of_another_run_is_a_conflict(connect: Connect) -> None:
    """A 409 because of another run is a ConflictError, on the first attempt and on a repeat."""
    posts: list[Request] = []

    def create(request: Request) -> Reply:
        posts.append(request)
        return drop_before_answer() if len(posts) == 1 else reply_json(409, {"detail": "busy"})

    theirs = listing(run_json("running", kwargs=with_id("theirs"), created_at="2020-01-01T00:00:00+00:00"))
    with ScriptedServer(routes={("GET", "/threads/*/runs"): theirs, ("POST", "/threads/*/runs"): create}) as server:
        client = hasty(connect(server.url))
        with pytest.raises((ConflictError, CreateUncertainError)):
            client.runs.create(THREAD_ID, "agent", multitask_strategy="reject")
        with pytest.raises(ConflictError):
            client.runs.create(THREAD_ID, "agent", multitask_strategy="reject")
        assert len(posts) in (2, 3)


@pytest.mark.parametrize("seed", range(10))
def test_a_thread_for_one_run_never_has_two_runs(connect: Connect, seed: int) -> None:
    """A fresh thread, if_not_exists=create and reject: under any faults one run, and never a false conflict."""
    with FakeLangGraph(burst) as server, CuttingProxy(server.url, seeded(seed, 0.5, longest=1000)) as proxy:
        client = hasty(connect(proxy.url, retry=RetryPolicy(attempts=10, wait_initial=0, budget=None)))
        for _ in range(10):
            starter = Starter("create")
            starter(client, multitask_strategy="reject")
            starter.check(server)


# -- connections


def test_a_connection_that_was_idle_is_not_given_to_a_create(connect: Connect) -> None:
    """The server may be closing it at this very moment; a create gets a new one, another call takes the old one."""
    with ScriptedServer(*[reply_json(200, {})] * 2, named("create").good, named("create").good) as server:
        client = connect(server.url)
        client.ok()
        threading.Event().wait(1.1)  # the passing of time is what is tested
        client.ok()
        assert 1 == server.connections
        client.runs.create(THREAD_ID, "agent")
        assert 1 == server.connections
        threading.Event().wait(1.1)
        client.runs.create(THREAD_ID, "agent")
        assert 2 == server.connections


def test_a_connection_that_the_server_has_closed_is_not_used(connect: Connect) -> None:
    """Its end has arrived: the create goes out on a new connection, once, and no look-up is needed."""
    with ScriptedServer(reply_json(200, {}).then_hang_up(), named("create").good) as server:
        client = connect(server.url)
        client.ok()
        server.wait_closed()
        client.runs.create(THREAD_ID, "agent")
        assert 2 == len(server.requests)


def test_bytes_on_an_idle_connection_are_no_response(connect: Connect) -> None:
    """A 408 that a proxy sends into an idle connection is not taken for the response to the next create."""
    said = threading.Event()
    late = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    first = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", said, late).then_cut()
    with ScriptedServer(first, named("create").good) as server:
        client = connect(server.url)
        client.ok()
        said.set()
        server.wait_closed()
        run = client.runs.create(THREAD_ID, "agent")
        assert 2 == server.connections

    assert RUN_ID == run.run_id


def test_a_dead_pooled_connection_does_not_double(connect: Connect) -> None:
    """A reset that hits a create on a connection from the pool is looked up like any other fault."""
    with FakeLangGraph(burst) as server, CuttingProxy(server.url) as proxy:
        client = hasty(connect(proxy.url))
        for fault in (cut_request(0), cut_request(0, reset=True), swallow(), swallow(reset=True)):
            client.threads.search()
            proxy.arm(fault, when=b"POST /threads/")
            starter = Starter("create")
            starter(client)
            starter.check(server)


# -- known from the headers


def test_the_headers_name_the_run_before_the_fault(connect: Connect) -> None:
    """If the response's headers had come, its run is fetched, without a look through the thread."""
    with ScriptedServer(
        named("create").good.cut_after(400),
        reply_json(200, run_json("running")),
    ) as server:
        run = connect(server.url).runs.create(THREAD_ID, "agent")

    assert RUN_ID == run.run_id
    assert f"GET /threads/{THREAD_ID}/runs/{RUN_ID}" == f"{server.requests[1].method} {server.requests[1].target}"


def test_a_stateless_wait_is_joined_when_its_headers_had_come(connect: Connect) -> None:
    """The result is fetched on the thread that the library has chosen, and no second run is made."""
    gate = threading.Event()

    def slow(run: FakeRun) -> Any:
        run.wait(gate)
        return {"done": True}

    with FakeLangGraph(slow, Dialect(heartbeat=0.02)) as server, CuttingProxy(server.url) as proxy:
        client = hasty(connect(proxy.url))
        proxy.arm(cut_response(450), when=b"POST /threads")
        result: list[Any] = []
        thread = threading.Thread(target=lambda: result.append(client.runs.wait(None, "agent")))
        thread.start()
        proxy.wait_until(lambda: any(b"/join" in turn.first and turn.response for turn in proxy._turns), "a join")
        gate.set()
        thread.join()

        assert [{"done": True}] == result
        assert 1 == len(server.created)


def test_on_run_created_is_called_once_for_a_recovered_run(connect: Connect) -> None:
    """It is called exactly once, with the run that was found, also if the headers had named the run already."""
    with FakeLangGraph(burst) as server, CuttingProxy(server.url) as proxy:
        client = hasty(connect(proxy.url))
        for way in ("create", "wait", "stream"):
            request, answer = sizes(proxy, client, way)
            for fault in (swallow(), cut_response(answer - 1), cut_response(300)):
                starter = Starter(way)
                proxy.arm(fault, when=b"POST")
                starter(client)
                assert [{"run_id": starter.run_id, "thread_id": starter.thread_id}] == starter.told


# -- a run that dies with its connection


@pytest.mark.parametrize("way", ["wait", "stream"])
def test_a_run_that_died_with_its_connection_is_not_made_again(connect: Connect, way: str) -> None:
    """With on_disconnect=cancel a fault may have ended the run: the error is raised, and no second run is made."""
    with FakeLangGraph(burst) as server, CuttingProxy(server.url) as proxy:
        client = hasty(connect(proxy.url))
        proxy.arm(swallow(), when=b"POST")
        with pytest.raises(APIConnectionError):
            starter = Starter(way)
            starter(client, on_disconnect="cancel")
            if starter.error:
                raise starter.error
        assert 1 == len(server.created)


# -- time and signals end the looking


def test_a_deadline_ends_the_look_up(connect: Connect) -> None:
    """The time of the call is over while the run is looked for: the error says so and carries the request id's thread."""
    with ScriptedServer(drop_before_answer(), routes={("GET", "/threads/*/runs"): listing()}) as server:
        with pytest.raises(APIConnectionError) as caught:
            connect(server.url).runs.create(THREAD_ID, "agent", timeout=0.5)
        assert 1 == sum(request.method == "POST" for request in server.requests)

    assert isinstance(caught.value, (TimeoutError, CreateUncertainError))
    assert THREAD_ID == caught.value.thread_id


def test_a_deadline_ends_a_call_without_a_response(connect: Connect) -> None:
    """A create that gets no response within its time raises, was not sent twice, and says that it may have been carried out."""
    with ScriptedServer(stall()) as server:
        with pytest.raises(APIConnectionError) as caught:
            connect(server.url).runs.create(THREAD_ID, "agent", timeout=0.2)
        assert 1 == len(server.requests)

    assert isinstance(caught.value, TimeoutError)
    assert caught.value.sent is None


def test_a_stream_whose_headers_were_lost_is_joined_from_its_start(connect: Connect) -> None:
    """The run is found, and its events are requested from before the first one."""
    events = [("metadata", {"run_id": RUN_ID}, "1-0"), ("values", {"n": 1}, "2-0")]

    def runs(request: Request) -> Reply:
        return listing(ours(server.requests[0]))

    routes: dict[tuple[str, str], Any] = {
        ("GET", "/threads/*/runs"): runs,
        ("GET", "/threads/*/runs/*"): reply_json(200, run_json()),
        ("GET", "/threads/*/state"): reply_json(200, {"values": {"n": 1}, "next": [], "metadata": {"run_id": RUN_ID}}),
    }
    with ScriptedServer(reset_before_answer(), sse(*events), routes=routes) as server:
        got = [event.data for event in connect(server.url).runs.stream(THREAD_ID, "agent")]

    assert [data for _, data, _ in events] == got
    join = server.requests[2]
    assert (f"/threads/{THREAD_ID}/runs/{RUN_ID}/stream", "-1") == (join.path, join.header("Last-Event-ID"))


def test_the_run_of_the_headers_belongs_to_the_error(connect: Connect) -> None:
    """An error after the headers have come has run and thread, also if the run is not found on the thread."""
    broken = reply_json(200, ["no run"], run_headers(THREAD_ID, RUN_ID))
    with ScriptedServer(broken, reply_json(200, [])) as server, pytest.raises(LangGraphRunsError) as caught:
        connect(server.url).runs.create(THREAD_ID, "agent")

    assert (RUN_ID, THREAD_ID) == (caught.value.run_id, caught.value.thread_id)
