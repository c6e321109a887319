"""Which options are refused before anything is sent, and which are in the request body."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import pickle
import uuid
import warnings
from typing import Any, Dict, List, Optional, cast

import attrs
import pydantic
import pytest

from langgraph_runs import RunCreate, RunsCreatePayload, RunsInvokePayload, RunsStreamPayload, RunsWaitPayload
from langgraph_runs.errors import InvalidRequestError
from langgraph_runs.payloads import merge_payload, to_body
from langgraph_runs.validation import check_choice, check_id, check_known


def refusal(cls: Any = RunsCreatePayload, **options: Any) -> str:
    with pytest.raises(InvalidRequestError) as caught:
        cls(**options)
    assert None is caught.value.request
    return str(caught.value)


OBJECT = "give an object (a dict, dataclass, attrs or pydantic object), not "


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input": {}, "command": {"resume": 1}}, "input and command exclude each other: answer an interrupt with command alone"),
        ({"metadata": [("a", 1)]}, f"metadata: {OBJECT}a list"),
        ({"config": "x"}, f"config: {OBJECT}a string"),
        ({"context": 3}, f"context: {OBJECT}a number"),
        ({"command": "resume"}, f"command: {OBJECT}a string"),
        ({"langsmith_tracing": "project"}, f"langsmith_tracing: {OBJECT}a string"),
        ({"kwargs": []}, f"kwargs: {OBJECT}a list"),
        ({"stream_subgraphs": "true"}, "stream_subgraphs='true': give True or False"),
        ({"stream_resumable": 1}, "stream_resumable=1: give True or False"),
        ({"strict_resume": "no"}, "strict_resume='no': give True or False"),
        (
            {"multitask_strategy": "rejct"},
            "multitask_strategy='rejct': give one of 'reject', 'rollback', 'interrupt', 'enqueue'; did you mean 'reject'?",
        ),
        ({"if_not_exists": "make"}, "if_not_exists='make': give one of 'create', 'reject'"),
        ({"on_completion": "drop"}, "on_completion='drop': give one of 'delete', 'keep', 'complete', 'continue'"),
        ({"durability": "asnyc"}, "durability='asnyc': give one of 'sync', 'async', 'exit'; did you mean 'async'?"),
        ({"durability": True}, "durability=True: give one of 'sync', 'async', 'exit'"),
        ({"command": {"resum": 1}}, "command key='resum': give one of 'update', 'resume', 'goto', 'graph'; did you mean 'resume'?"),
        ({"stream_mode": "value"}, "stream_mode='value': give one of "),
        ({"stream_mode": ["values", "token"]}, "stream_mode='token': give one of "),
        ({"stream_mode": {"values": True}}, "stream_mode=<dict>: give one name or a list of names"),
        ({"stream_mode": b"values"}, "stream_mode=<bytes>: give one name or a list of names"),
        ({"interrupt_before": "ask"}, "interrupt_before='ask': give a list of node names, or '*' for all"),
        ({"interrupt_after": ["a", 2]}, "interrupt_after=['a', 2]: give a list of node names, or '*' for all; 2 is not text"),
        ({"interrupt_after": {"a": 1}}, "interrupt_after=<dict>: give a list of node names, or '*' for all"),
        ({"feedback_keys": "score"}, "feedback_keys='score': give a list of keys"),
        ({"checkpoint_id": ""}, "checkpoint_id='': give the id as text that is not empty"),
        ({"after_seconds": -1}, "after_seconds=-1: give a number of seconds, 0 or more"),
        ({"after_seconds": float("nan")}, "after_seconds=nan: give a number of seconds, 0 or more"),
        ({"after_seconds": True}, "after_seconds=True: give a number of seconds, 0 or more"),
        ({"after_seconds": "5"}, "after_seconds='5': give a number of seconds, 0 or more"),
    ],
    ids=str,
)
def test_a_wrong_option_is_refused(options: Dict[str, Any], message: str) -> None:
    """The error names the option and the remedy, and shows the value if it cannot be a secret."""
    assert refusal(**options).startswith(message)


OPTIONS = [(cls, field.name) for cls in (RunCreate, RunsStreamPayload) for field in attrs.fields(cls)]


@pytest.mark.parametrize(("cls", "name"), OPTIONS)
def test_every_option_with_a_type_has_a_check(cls: Any, name: str) -> None:
    """An object of no use is refused by name. An option that was added without a check fails here."""
    required = {} if cls is not RunCreate else {"assistant_id": "agent"}
    if attrs.fields_dict(cls)[name].type is Any:
        assert cls(**{**required, name: object()})
        return
    message = refusal(cls, **{**required, name: object()})
    assert message.startswith((f"{name}=<object>: give", f"{name}: {OBJECT}an object of type object", f"{name}: give an absolute"))


def test_a_large_value_is_cut_in_the_message() -> None:
    message = refusal(feedback_keys="x" * 10_000)
    assert message.startswith("feedback_keys='xxx") and message.endswith("... (10002 characters): give a list of keys")
    assert len(message) < 300


@pytest.mark.parametrize("name", ["metadata", "config", "context", "command", "kwargs", "langsmith_tracing"])
@pytest.mark.parametrize(
    "value", [["s3cret"], "s3cret", type("s3cret", (), {})(), {"s3cret"}], ids=["list", "text", "object", "set"]
)
def test_a_refused_object_is_not_shown(name: str, value: Any) -> None:
    """It may hold a secret, or the data of a user."""
    message = refusal(**{name: value})
    assert message.startswith(f"{name}: give ") and "s3cret'" not in message


# -- objects whose classes declare fields


@dataclasses.dataclass
class User:
    name: str = "ada"
    role: Optional[str] = None


@attrs.define
class Team:
    name: str = "tides"
    role: Optional[str] = None


class Model(pydantic.BaseModel):
    name: str = "ada"
    role: Optional[str] = None


@pytest.mark.parametrize("name", ["metadata", "config", "context", "kwargs"])
@pytest.mark.parametrize("cls", [User, Team, Model])
def test_objects_with_fields_are_taken_as_objects(name: str, cls: Any) -> None:
    payload = RunsCreatePayload(**{name: cls()})
    assert {"name": cls().name, "role": None} == getattr(payload, name)


def test_a_class_is_not_taken_for_its_object() -> None:
    assert f"context: {OBJECT}the class User" == refusal(context=User)


# -- the Command and Send of LangGraph, as they are: a dataclass, and a class with slots


@dataclasses.dataclass(frozen=True)
class Command:
    graph: Optional[str] = None
    update: Any = None
    resume: Any = None
    goto: Any = ()


class Send:
    __slots__ = ("arg", "node", "timeout")

    def __init__(self, node: str, arg: Any) -> None:
        self.node, self.arg, self.timeout = node, arg, None


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (Command(resume="yes"), {"resume": "yes"}),
        (Command(resume=False), {"resume": False}),
        (Command(update={"n": 1}, goto="next"), {"update": {"n": 1}, "goto": "next"}),
        (
            Command(graph="__parent__", goto=["a", Send("b", {"n": 1})]),
            {"graph": "__parent__", "goto": ["a", {"node": "b", "input": {"n": 1}}]},
        ),
        ({"goto": Send("b", 1)}, {"goto": {"node": "b", "input": 1}}),
        ({"goto": [{"node": "b", "input": 1}]}, {"goto": [{"node": "b", "input": 1}]}),
        ({"resume": None}, {"resume": None}),
        ({"resume": None, "update": None}, {"resume": None}),
        ({"graph": None, "update": None, "resume": "yes", "goto": ()}, {"resume": "yes"}),
        ({"graph": None, "update": None, "resume": None, "goto": [Send("b", 1)]}, {"goto": [{"node": "b", "input": 1}]}),
    ],
)
def test_a_command_is_sent_as_the_server_takes_it(given: Any, sent: Any) -> None:
    assert {"command": sent} == to_body(RunsCreatePayload(command=given))


@pytest.mark.parametrize("value", [Command(resume="yes"), Send("a", 1)])
def test_a_command_is_no_input(value: Any) -> None:
    """As input it would be sent as data, and the answer to a question would be lost."""
    assert f"input: a {type(value).__name__} is no input; give it as command=..." == refusal(input=value)


def test_several_commands_are_refused_and_a_list_of_one_is_that_one() -> None:
    assert refusal(command=[Command(resume="yes"), {"goto": "a"}]).startswith("command: give one command, not a list of 2: servers")
    assert refusal(command=[]).startswith("command: give one command, not a list of 0: servers")
    assert {"resume": "yes"} == RunsCreatePayload(command=[{"resume": "yes"}]).command  # type: ignore[arg-type]


@pytest.mark.parametrize(("word", "sent"), [("complete", "delete"), ("continue", "keep")])
def test_the_words_of_the_javascript_client_for_a_completion_are_sent_as_those_of_servers(word: Any, sent: str) -> None:
    with pytest.warns(UserWarning, match=f"servers know 'delete' and 'keep', so '{sent}' is sent") as caught:
        payload = RunsCreatePayload(on_completion=word)
    assert {"on_completion": sent} == to_body(payload)
    assert __file__ == caught[0].filename


def test_a_payload_is_read_like_a_dict() -> None:
    item = RunCreate(assistant_id="agent", input={"n": 1})
    assert ("agent", {"n": 1}, None, 5) == (item["assistant_id"], item["input"], item.get("metadata"), item.get("metadata", 5))
    assert {"assistant_id": "agent", "input": {"n": 1}} == dict(item) == {**item}
    assert "input" in item and "metadata" not in item and sorted(item) == ["assistant_id", "input"]
    assert item == RunCreate(**item)
    assert RunsCreatePayload() is not None and bool(RunsCreatePayload())
    with pytest.raises(KeyError):
        _ = item["metadata"]


def test_langgraphs_own_classes_are_understood() -> None:
    types = pytest.importorskip("langgraph.types", reason="langgraph is not installed")
    command = types.Command(resume={"a": 1}, goto=[types.Send("next", {"n": 1})])

    assert {"resume": {"a": 1}, "goto": [{"node": "next", "input": {"n": 1}}]} == RunsCreatePayload(command=command).command
    assert "a Command is no input" in refusal(input=command)
    assert "a Send is no input" in refusal(input=types.Send("next", 1))


@pytest.mark.parametrize(
    "url",
    ["/hook", "hook", "ftp://host/x", "http://", "http:///x", "//host/x", "http://[::1", "", 5, b"http://host/x", "mailto:a@b"],
)
def test_a_webhook_must_be_an_absolute_url(url: Any) -> None:
    """A relative one would fail every create on the server."""
    assert "webhook: give an absolute http:// or https:// URL that the server can reach" == refusal(webhook=url)


@pytest.mark.parametrize(
    "url", ["http://host/x", "https://host", "HTTP://host:8000/a?b=c#d", "http://[::1]:80/x", "http://127.0.0.1"]
)
def test_absolute_webhooks_pass(url: str) -> None:
    """Whether the server can reach them, and may, is the server's to say."""
    assert url == RunsCreatePayload(webhook=url).webhook


@pytest.mark.parametrize(("cls", "known"), [(RunsCreatePayload, False), (RunsWaitPayload, True), (RunsStreamPayload, True)])
def test_only_wait_and_stream_know_on_disconnect(cls: Any, known: bool) -> None:
    """The server ignores it silently on create, so that there it is not an option at all."""
    assert known is ("on_disconnect" in attrs.fields_dict(cls))
    if known:
        assert refusal(cls, on_disconnect="stop").startswith("on_disconnect='stop': give one of 'cancel', 'continue'")


# -- what is sent


def test_options_that_are_not_given_are_not_sent() -> None:
    """An empty payload is an empty body."""
    assert {} == to_body(RunsCreatePayload())
    assert {"assistant_id": "agent"} == to_body(RunsCreatePayload(), assistant_id="agent", thread_id=None)


def test_falsy_values_are_sent() -> None:
    """Empty, zero and False are values; only None is not."""
    falsy: Dict[str, Any] = {
        "input": {},
        "stream_subgraphs": False,
        "stream_resumable": False,
        "metadata": {},
        "config": {},
        "context": {},
        "interrupt_before": [],
        "interrupt_after": (),
        "feedback_keys": [],
        "after_seconds": 0,
        "strict_resume": False,
        "stream_mode": [],
    }
    assert falsy == to_body(RunsCreatePayload(**falsy))
    value: Any
    for value in (0, "", [], False):
        assert {"input": value} == to_body(RunsCreatePayload(input=value))
    assert {"command": {}} == to_body(RunsCreatePayload(command={}))


def test_the_name_that_differs_on_the_wire() -> None:
    """langsmith_tracing is langsmith_tracer there."""
    assert {"langsmith_tracer": {"project_name": "p"}} == to_body(RunsCreatePayload(langsmith_tracing={"project_name": "p"}))


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("values", "values"),
        (["values", "custom"], ["values", "custom"]),
        (("values",), ["values"]),
        (["values", "metadata"], ["values"]),
        ("metadata", ...),
        (["metadata"], ...),
        ([], []),
        ("messages-tuple", "messages-tuple"),
    ],
)
def test_stream_modes_on_the_wire(given: Any, sent: Any) -> None:
    """``metadata`` is accepted and not sent: those events always come, and the server refuses the name."""
    assert ({} if sent is ... else {"stream_mode": sent}) == to_body(RunsCreatePayload(stream_mode=given))


def test_modes_may_be_members_of_an_enum_of_text() -> None:
    """A caller's own enum works if its members are text."""

    class Mode(str, enum.Enum):
        VALUES = "values"

    assert Mode.VALUES == to_body(RunsCreatePayload(stream_mode=cast(Any, Mode.VALUES)))["stream_mode"]


def test_further_fields_are_sent_as_they_are() -> None:
    """``kwargs`` is the way out for options newer than the library: nulls and unknown names included."""
    assert {"input": 1, "brand_new": None, "other": [1]} == to_body(
        RunsCreatePayload(input=1, kwargs={"brand_new": None, "other": [1]})
    )


@pytest.mark.parametrize("name", ["input", "assistant_id"])
def test_a_field_is_not_given_twice(name: str) -> None:
    """An option and a field of the same name in kwargs is an error, not a race."""
    with pytest.raises(InvalidRequestError, match=f"kwargs\\['{name}'\\]: {name} is given as an option too"):
        to_body(RunsCreatePayload(input=1, kwargs={name: 2}), assistant_id="agent")


# -- payloads and keywords together


def test_keywords_override_a_payload() -> None:
    """A keyword wins, None leaves the payload's value, and the payload itself stays as it is."""
    payload = RunsCreatePayload(input=1, metadata={"a": 1})
    laid = merge_payload(RunsCreatePayload, payload, {"input": 2, "metadata": None, "durability": "exit"}, call="create")
    assert RunsCreatePayload(input=2, metadata={"a": 1}, durability="exit") == laid
    assert RunsCreatePayload(input=1, metadata={"a": 1}) == payload


def test_a_payload_alone_is_taken_as_it_is() -> None:
    """No copy is made of it."""
    payload = RunsCreatePayload(input=1)
    assert payload is merge_payload(RunsCreatePayload, payload, {"input": None}, call="create")


def test_any_payload_serves_any_call_that_knows_its_fields() -> None:
    """A shared RunsInvokePayload goes everywhere; a wait payload with on_disconnect not into create."""
    assert RunsStreamPayload(input=1) == merge_payload(RunsStreamPayload, RunsInvokePayload(input=1), {}, call="stream")
    assert RunsCreatePayload(input=1) == merge_payload(RunsCreatePayload, RunsWaitPayload(input=1), {}, call="create")
    with pytest.raises(InvalidRequestError, match=r"create\(\) has no option 'on_disconnect'"):
        merge_payload(RunsCreatePayload, RunsWaitPayload(on_disconnect="cancel"), {}, call="create")


def test_keywords_and_payload_are_checked_together() -> None:
    """Two halves that are fine alone may exclude each other."""
    with pytest.raises(InvalidRequestError, match="exclude each other"):
        merge_payload(RunsCreatePayload, RunsCreatePayload(input=1), {"command": {"resume": 1}}, call="create")


@pytest.mark.parametrize("payload", [{"input": 1}, [1], "hello", 5])
def test_the_input_itself_as_third_argument_is_refused(payload: Any) -> None:
    """The error says how the graph's input is given."""
    with pytest.raises(InvalidRequestError) as caught:
        merge_payload(RunsCreatePayload, payload, {}, call="create")
    assert (
        f"create(): the third argument is a payload such as RunsCreatePayload(input=...), not {type(payload).__name__}; "
        "pass the graph's input as input=..." == str(caught.value)
    )


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("streamMode", "; did you mean 'stream_mode'?"),
        ("inputs", "; did you mean 'input'?"),
        ("interrupt-before", "; did you mean 'interrupt_before'?"),
        ("multitask", "; did you mean 'multitask_strategy'?"),
        ("zzz", "; a field newer than this library goes into kwargs={...}"),
    ],
)
def test_an_unknown_option_is_refused_with_its_nearest(name: str, hint: str) -> None:
    """The server would ignore it silently."""
    with pytest.raises(InvalidRequestError) as caught:
        merge_payload(RunsCreatePayload, None, {name: None}, call="create")
    assert f"create() has no option {name!r}{hint}" == str(caught.value)


def test_an_idempotency_key_where_it_has_no_effect_is_refused() -> None:
    """Else a call that is repeated would start a second run."""
    with pytest.raises(
        InvalidRequestError, match=r"^kwargs\['idempotency_key'\]: servers have no such field; give it as an option"
    ):
        to_body(RunsCreatePayload(kwargs={"idempotency_key": "x"}))
    with pytest.raises(InvalidRequestError, match="no option 'idempotency_key'; create, wait and stream have it, and map takes"):
        check_known("map", {"idempotency_key": "x"}, ["input", "kwargs"])


def test_kwargs_are_the_remedy_only_of_calls_that_have_them() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check_known("join", ["zzz"], ["timeout"])
    assert "join() has no option 'zzz'" == str(caught.value)


# -- ids and choices


@pytest.mark.parametrize("value", [None, "", 5, b"x", ["x"], True])
def test_an_id_is_text(value: Any) -> None:
    """None, empty and anything that is not text is refused by name."""
    with pytest.raises(InvalidRequestError) as caught:
        check_id("thread_id", value)
    seen = repr(value) if not isinstance(value, bytes) else "<bytes>"
    assert f"thread_id={seen}: give the id as text that is not empty" == str(caught.value)


@dataclasses.dataclass
class Secret:
    token: str = "s3cret"


@pytest.mark.parametrize("value", [{"token": "s3cret"}, Secret(), [{"token": "s3cret"}], [Secret()], b"s3cret"])
@pytest.mark.parametrize("name", [name for cls, name in OPTIONS if cls is RunCreate and name not in ("input", "checkpoint")])
def test_the_message_about_a_wrong_option_never_shows_an_object(name: str, value: Any) -> None:
    """An object in the place of an option is mostly the input or the context, given in the wrong position."""
    try:
        RunCreate(**{"assistant_id": "agent", name: value})
    except InvalidRequestError as error:
        assert "s3cret" not in str(error)


def test_a_uuid_is_an_id() -> None:
    """UUID objects are what databases give."""
    value = uuid.uuid4()
    assert str(value) == check_id("run_id", value)


def test_a_wrong_choice_names_the_nearest() -> None:
    """The error lists what is allowed, and the nearest of it."""
    with pytest.raises(InvalidRequestError, match="x='patst': give one of 'past', 'future'; did you mean 'past'?"):
        check_choice("x", "patst", ["past", "future"])
    check_choice("x", "past", ["past", "future"])
    check_known("call", {"a": 1}, {"a", "b"})


# -- batch items


def test_a_batch_item_needs_an_assistant() -> None:
    """Both of its ids are checked when it is made."""
    assert "assistant_id='': give the id as text that is not empty" == refusal(RunCreate, assistant_id="")
    assert "thread_id=5: give the id as text that is not empty" == refusal(RunCreate, assistant_id="a", thread_id=5)
    with pytest.raises(TypeError):
        RunCreate(input=1)  # type: ignore[call-arg]


def test_a_batch_item_without_its_ids_is_a_create_payload() -> None:
    """The rest of it is what ``create`` takes."""
    item = RunCreate(assistant_id="agent", thread_id="t", input=1, metadata={"a": 1})
    assert RunsCreatePayload(input=1, metadata={"a": 1}) == item.payload


def test_payloads_are_values() -> None:
    """They are frozen, compare by what they say, and pickle."""
    payload = RunsStreamPayload(input={"n": 1}, on_disconnect="cancel")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        payload.input = 2  # type: ignore[misc]
    assert RunsStreamPayload(input={"n": 1}, on_disconnect="cancel") == payload == pickle.loads(pickle.dumps(payload))


# -- the deprecated option


def warned(action: Any) -> List[warnings.WarningMessage]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        action()
    return found


def test_checkpoint_during_warns_at_the_callers_line() -> None:
    """The warning names the line that gave the option, as a payload or as a keyword, and the option is sent."""

    def make() -> Any:
        return RunsCreatePayload(checkpoint_during=False)  # the line that the warning names

    def lay() -> Any:
        return merge_payload(RunsCreatePayload, None, {"checkpoint_during": True}, call="create")  # the line that the warning names

    for action in (make, lay):
        (warning,) = warned(action)
        lines, first = inspect.getsourcelines(action)
        assert (DeprecationWarning, __file__, first + 1) == (warning.category, warning.filename, warning.lineno)
        assert "checkpoint_during is deprecated: use durability='exit' for False, 'async' for True" == str(warning.message)
    assert {"checkpoint_during": False} == to_body(_quietly(make))


def _quietly(action: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return action()


def test_nothing_else_warns() -> None:
    """A payload without the old option is made in silence."""
    assert [] == warned(lambda: RunsCreatePayload(input=1, durability="exit"))
