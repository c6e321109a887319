"""What the official SDKs can do, compared with this library: each parameter of each call, and the test on the real server that uses it.

``python -m tests.parity`` prints the table, ``--write`` puts it into ``tests/parity.rst``. The signatures of the Python SDK and of
this library are read from their classes. Those of the JavaScript SDK are in ``js_sdk_signatures.json``;
``--record-javascript DIRECTORY`` reads them from an installed package ``@langchain/langgraph-sdk``.
"""

from __future__ import annotations

import argparse
import ast
import functools
import importlib.metadata
import inspect
import json
import re
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

from langgraph_runs.resources import AssistantsClient, CronsClient, RunsClient, StoreClient, ThreadsClient

__all__ = ["LEFT_OUT", "PAGE", "Row", "missing", "page", "rows", "versions"]

TESTS = Path(__file__).resolve().parent
PAGE = TESTS / "parity.rst"
RECORDED = TESTS / "js_sdk_signatures.json"
CLASSES: Dict[str, Any] = {
    "assistants": AssistantsClient,
    "crons": CronsClient,
    "runs": RunsClient,
    "store": StoreClient,
    "threads": ThreadsClient,
}
#: What every call of this library takes.
COMMON = {"headers", "params", "signal", "timeout"}
#: Parameters of the JavaScript SDK that have another name here.
RENAMED = {
    "include_pagination": "response_format",
    "_langsmith_tracer": "langsmith_tracing",
}
#: Why a call or a parameter is not here; a call by its name, a parameter of one call, or of every call. Parameters that the
#: JavaScript SDK's types give to a call only because several calls share a type, and that no server reads, are not listed.
LEFT_OUT: Dict[str, str] = {
    "threads.stream": "a session of commands and events in a protocol of its own; langgraph_runs.compat has it, through the SDK",
    "threads.patch_state": 'no known server has the endpoint; client.request("PATCH", ...)',
    "runs.stream version": "langgraph_runs.compat has it; the events here are objects",
    "stream_idle_reconnect": "read_timeout of the client",
    "stream_namespaces": 'params={"namespace": [...]}',
    "runs.cancel reason": 'params={"reason": ...}',
    "runs.join cancel_on_disconnect": 'params={"cancel_on_disconnect": True}',
    "runs.join_stream checkpoint_id": "no known server reads it",
}
#: Parameters that the JavaScript SDK's shared types give to calls whose endpoints do not have them.
_ONLY_TYPED = {
    "crons.create": {"checkpoint", "checkpoint_id", "after_seconds", "command", "if_not_exists", "on_completion"}
    | {"on_disconnect", "on_run_created", "strict_resume", "langsmith_tracing", "feedback_keys"},
    "runs.create": {"on_disconnect"},
    "runs.wait": {"stream_idle_reconnect"},
}
_ONLY_TYPED["crons.create_for_thread"] = _ONLY_TYPED["crons.create"] | {"on_run_completed"}
_ONLY_TYPED["crons.update"] = _ONLY_TYPED["crons.create"] | {"checkpoint_during", "multitask_strategy"}


class Row(NamedTuple):
    """One parameter of one call."""

    call: str
    parameter: str
    in_python: bool
    in_javascript: bool
    here: bool
    #: Why it is not here.
    reason: Optional[str]
    #: The file in tests/server that passes it, or None.
    test: Optional[str]


# -- signatures


def _parameters(method: Any) -> List[str]:
    shown = inspect.signature(method).parameters.values()
    return [one.name for one in shown if one.name != "self" and one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)]


def _methods(cls: Any) -> Iterator[Tuple[str, List[str]]]:
    for name, method in inspect.getmembers(cls, inspect.isfunction):
        if not name.startswith("_"):
            yield name, _parameters(method)


def python_sdk() -> Dict[str, List[str]]:
    """Return the parameters of each call of the official sync client, by resource and name."""
    from langgraph_sdk import client

    names = {"crons": "SyncCronClient"}
    found = {}
    for resource in CLASSES:
        cls = getattr(client, names.get(resource, f"Sync{resource.capitalize()}Client"))
        found.update({f"{resource}.{name}": parameters for name, parameters in _methods(cls)})
    return found


def this_library() -> Dict[str, List[str]]:
    """Return the parameters of each call of this library."""
    return {f"{resource}.{name}": found for resource, cls in CLASSES.items() for name, found in _methods(cls)}


def javascript_sdk() -> Dict[str, List[str]]:
    """Return the recorded parameters of each call of the JavaScript SDK, in the spelling of Python."""
    found: Dict[str, List[str]] = json.loads(RECORDED.read_text("utf-8"))["calls"]
    return found


# -- the signatures of the JavaScript SDK


def record_javascript(package: Path) -> None:
    """Read the type declarations of an installed package, and write the parameters of each call into the file."""
    interfaces = _interfaces((package / "dist" / "types.d.ts").read_text("utf-8"))
    calls: Dict[str, List[str]] = {}
    for resource in CLASSES:
        text = _without_comments((package / "dist" / "client" / resource / "index.d.ts").read_text("utf-8"))
        body = text[text.index("extends BaseClient {") :]
        for name, arguments in _declarations(body):
            parameters = calls.setdefault(f"{resource}.{_snake(name)}", [])
            parameters += [one for one in _names_in(arguments, interfaces) if one not in parameters]
    version = json.loads((package / "package.json").read_text("utf-8"))["version"]
    RECORDED.write_text(json.dumps({"version": version, "calls": calls}, indent=1) + "\n", "utf-8")


def _without_comments(text: str) -> str:
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", lambda found: "_" + found.group(1).lower(), name)


def _interfaces(text: str) -> Dict[str, List[str]]:
    found: Dict[str, List[str]] = {}
    for head in re.finditer(r"interface (\w+)(?:<[^{]*?>)?(?: extends (\w+)[^{]*)? \{", _without_comments(text)):
        body = _balanced(_without_comments(text)[head.end() - 1 :])
        found[head.group(1)] = [*found.get(head.group(2) or "", []), *_fields(body[1:-1])]
    return found


def _balanced(text: str) -> str:
    """Return the beginning of *text* up to the bracket that closes its first character."""
    depth = 0
    for place, char in enumerate(text):
        depth += (char in "({[<") - (char in ")}]" or (char == ">" and text[place - 1] != "="))
        if depth == 0:
            return text[: place + 1]
    raise ValueError("a bracket is not closed")


def _parts(text: str, separators: str) -> Iterator[str]:
    """Yield the parts of *text* between separators that are in no bracket."""
    begin = depth = 0
    for place, char in enumerate(text):
        depth += (char in "({[<") - (char in ")}]" or (char == ">" and text[place - 1] != "="))
        if char in separators and depth == 0:
            yield text[begin:place]
            begin = place + 1
    yield text[begin:]


def _fields(body: str) -> List[str]:
    found = [re.match(r"\s*(\w+)\??:", part) for part in _parts(body, ";")]
    return [_snake(one.group(1)) for one in found if one is not None]


def _declarations(body: str) -> Iterator[Tuple[str, str]]:
    for head in re.finditer(r"^  (\w+)(?=[<(])", body, re.MULTILINE):
        rest = body[head.end() :]
        if rest.startswith("<"):
            rest = rest[len(_balanced(rest)) :]
        yield head.group(1), _balanced(rest)[1:-1]


def _names_in(arguments: str, interfaces: Dict[str, List[str]]) -> Iterator[str]:
    for part in _parts(arguments, ","):
        found = re.match(r"\s*(\w+)\??: *(.*)", part, re.DOTALL)
        if found is None:
            continue
        name, kind = found.groups()
        shared = [one for one in re.findall(r"\w+", kind) if one in interfaces]
        if kind.startswith("{"):
            yield from _fields(_balanced(kind)[1:-1])
        elif shared and name != "payloads":
            yield from interfaces[shared[0]]
        else:
            yield {"threadIdOrConfig": "thread_id"}.get(name, _snake(name))


# -- tests on the real server


class _Calls(ast.NodeVisitor):
    """The calls of one test, and all names of keywords and keys in it."""

    def __init__(self) -> None:
        self.methods: Set[str] = set()
        self.names: Set[str] = set()
        self.positions: Dict[str, int] = {}

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.methods.add(node.attr)
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        self.methods.add(node.id)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.names.add(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        self.names.update(keyword.arg for keyword in node.keywords if keyword.arg)
        if isinstance(node.func, ast.Attribute):
            self.positions[node.func.attr] = max(self.positions.get(node.func.attr, 0), len(node.args))
        self.generic_visit(node)


@functools.cache
def _server_tests() -> List[Tuple[str, bool, _Calls]]:
    """Return each top-level statement of the tests on the real server that has calls: file, whether it starts runs by a fixture
    in each of three ways, and what it calls."""
    found = []
    for path in sorted((TESTS / "server").glob("test_*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            calls = _Calls()
            calls.visit(node)
            arguments = node.args.args if isinstance(node, ast.FunctionDef) else []
            starts = "Way" in calls.methods or {"start", "way"} & {one.arg for one in arguments}
            found.append((path.name, bool(starts), calls))
    return found


def _test_of(call: str, parameter: str, parameters: List[str]) -> Optional[str]:
    """Return the file of a test that calls *call* and passes *parameter*, by its name or by its place."""
    resource, method = call.split(".")
    place = parameters.index(parameter) if parameter in parameters else -1
    for file, starts, calls in _server_tests():
        by_fixture = starts and resource == "runs" and method in ("create", "wait", "stream")
        if not by_fixture and (method not in calls.methods or resource not in calls.methods):
            continue
        if parameter in calls.names or (0 <= place < calls.positions.get(method, 0)):
            return file
    return None


# -- the table


@functools.cache
def rows() -> List[Row]:
    """Return a row for each parameter of each call of either official SDK."""
    python, javascript, here = python_sdk(), javascript_sdk(), this_library()
    found: List[Row] = []
    for call in sorted({*python, *javascript}):
        theirs = [RENAMED.get(one, one) for one in javascript.get(call, ())]
        theirs = [one for one in theirs if one not in _ONLY_TYPED.get(call, ())]
        ours = here.get(call, [])
        names = [*python.get(call, ()), *theirs]
        for parameter in dict.fromkeys(name for name in names if name not in COMMON) or [""]:
            reason = LEFT_OUT.get(call) or LEFT_OUT.get(f"{call} {parameter}") or LEFT_OUT.get(parameter)
            is_here = call in here and (not parameter or parameter in ours)
            test = _test_of(call, parameter, ours) if is_here else None
            found.append(
                Row(
                    call,
                    parameter,
                    parameter in python.get(call, ()) or (not parameter and call in python),
                    parameter in theirs or (not parameter and call in javascript),
                    is_here,
                    None if is_here else reason,
                    test,
                )
            )
    return found


def missing() -> List[Row]:
    """Return what is neither here, nor left out for a reason."""
    return [row for row in rows() if not row.here and row.reason is None]


def versions() -> str:
    """Return the versions of the two SDKs, as the page has them."""
    recorded = json.loads(RECORDED.read_text("utf-8"))["version"]
    return f"langgraph-sdk {importlib.metadata.version('langgraph-sdk')} and @langchain/langgraph-sdk {recorded}"


def page() -> str:
    """Return the text of the page."""
    lines = [
        "Parity with the official SDKs",
        "=============================",
        "",
        "Each parameter of each call of the official SDKs, the sync client of the one for Python and the one for JavaScript, in the",
        "spelling of Python; whether it is here; and a file in ``tests/server`` that passes it to the real server. Every call takes",
        "``headers``, ``params``, ``signal`` and ``timeout`` as well. Written by ``python -m tests.parity --write`` from",
        f"{versions()}; ``tests/test_parity.py`` checks that nothing is missing.",
        "",
    ]
    widths = (28, 24, 6, 10, 4, 30)
    rule = " ".join("=" * width for width in widths)
    lines += [rule, _line(("call", "parameter", "Python", "JavaScript", "here", "server test"), widths), rule]
    left, before = [], None
    for row in rows():
        if row.here:
            here = "yes"
        else:
            left.append((f"``{row.call}``" + (f", ``{row.parameter}``" if row.parameter else ""), row.reason or "missing"))
            here = "no"
        shown = (row.call if row.call != before else r"\ ", row.parameter or "(none)")
        marks = ("yes" if row.in_python else "", "yes" if row.in_javascript else "", here, row.test or "")
        lines.append(_line((*shown, *marks), widths))
        before = row.call
    lines += [rule, "", "What is not here:", ""]
    whole = {call for call in LEFT_OUT if "." in call and " " not in call}
    lines += [f"- ``{call}``: {LEFT_OUT[call]}." for call in sorted(whole)]
    lines += [f"- {what}: {why}." for what, why in left if what.split("``")[1] not in whole]
    return "\n".join(lines) + "\n"


def _line(cells: Tuple[str, ...], widths: Tuple[int, ...]) -> str:
    return " ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths)).rstrip()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.parity", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into tests/parity.rst")
    parser.add_argument("--record-javascript", metavar="DIRECTORY", type=Path, help="an installed @langchain/langgraph-sdk")
    args = parser.parse_args()
    if args.record_javascript is not None:
        record_javascript(args.record_javascript)
    elif args.write:
        PAGE.write_text(page(), "utf-8")
    else:
        print(page(), end="")


if __name__ == "__main__":
    main()
