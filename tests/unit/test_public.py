"""Public classes name the package that exports them as their module, and nothing that they pickle names another one."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import inspect
import pickle
import pickletools
import subprocess
import sys
import typing
from typing import Any, Dict, Iterator, List, Set

import attrs
import pytest

import langgraph_runs
from langgraph_runs import errors
from langgraph_runs._public import name_public

from ..django.setup import set_up
from .test_errors import made

PACKAGES = ["langgraph_runs", "langgraph_runs.devserver", "langgraph_runs.django", "langgraph_runs.testing"]
#: Public classes that hold threads, locks, connections, a subprocess or a function; and an exception that is raised in a program.
NOT_PICKLED = {
    "AbortController",
    "AbortSignal",
    "DevServer",
    "FakeLangGraph",
    "FakeRun",
    "FakeRuns",
    "GraphFailure",
    "Request",
    "ResumedStream",
    "RunMap",
    "RunStream",
    "ThreadStream",
    "Script",
    "ThreadOwner",
}


def public_classes() -> Iterator[Any]:
    has_django = importlib.util.find_spec("django") is not None
    if has_django:
        set_up()
    for package in PACKAGES:
        if package == "langgraph_runs.django" and not has_django:
            continue
        module = importlib.import_module(package)
        for name in module.__all__:
            if inspect.isclass(getattr(module, name)):
                yield pytest.param(package, getattr(module, name), id=f"{package}.{name}")


CLASSES: List[Any] = list(public_classes())


@pytest.mark.parametrize(("package", "cls"), CLASSES)
def test_a_public_class_names_its_package(package: str, cls: Any) -> None:
    assert package == cls.__module__
    assert cls is getattr(importlib.import_module(package), cls.__qualname__)
    assert f"<class '{package}.{cls.__name__}'>" == repr(cls)


@pytest.mark.parametrize(("package", "cls"), CLASSES)
def test_the_annotations_of_a_public_class_resolve(package: str, cls: Any) -> None:
    """typing.get_type_hints and attrs.resolve_types read them in the namespace of the module that the class names."""
    hints = typing.get_type_hints(cls)
    assert [] == [name for name, hint in hints.items() if isinstance(hint, str)]
    if attrs.has(cls):
        attrs.resolve_types(cls)
        assert [] == [field.name for field in attrs.fields(cls) if isinstance(field.type, str)]


@pytest.mark.parametrize(
    "module", ["langgraph_runs.batch.results", "langgraph_runs.testing.network", "langgraph_runs.devserver.server"]
)
def test_the_classes_of_a_module_that_is_imported_alone_are_public(module: str) -> None:
    """The module decides nothing: it is enough that some module of the package was imported."""
    code = f"""
import importlib
module = importlib.import_module({module!r})
for name, item in sorted(vars(module).items()):
    if name in ("BatchResult", "NetworkRefusedError", "DevServerError"):
        print(item.__module__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ".".join(module.split(".")[:-1]).replace(".batch", "") == done.stdout.strip()


def test_only_classes_of_the_package_are_renamed() -> None:
    """A function, a class of another package, and one that is public already stay as they are."""
    private = type("Private", (), {"__module__": "some_package.module"})
    other = type("Other", (), {"__module__": "some_package_of_others"})
    name_public("some_package", [private, other, len, int])
    assert ("some_package", "some_package_of_others", "builtins") == (private.__module__, other.__module__, int.__module__)


# -- pickles


#: What a field without a factory has in its place; a field of attrs has the factory as its default.
NO_FACTORY = (None, dataclasses.MISSING)


def instance_of(cls: Any) -> Any:
    """An instance with something in each place that holds an object of this package."""
    if issubclass(cls, errors.LangGraphRunsError):
        return made(cls) if cls.__module__ == "langgraph_runs" else cls("it did not work")
    by_hand: Dict[str, Any] = {
        "Client": lambda: cls("http://user:pw@server", api_key="key", headers={"a": "b"}),
        "DevServerError": lambda: cls("it did not start"),
        "Ledger": lambda: cls("jobs.sqlite"),
        "RequestInfo": lambda: cls("GET", "http://server/ok"),
        "SettingsError": lambda: cls("no such key"),
    }
    if cls.__name__ in by_hand:
        return by_hand[cls.__name__]()
    fields = {field.name: field for field in (attrs.fields(cls) if attrs.has(cls) else dataclasses.fields(cls))}
    values: Dict[str, Any] = {
        name: "x"
        for name, field in fields.items()
        if field.default in (attrs.NOTHING, dataclasses.MISSING) and getattr(field, "default_factory", None) in NO_FACTORY
    }
    if "error" in fields and cls.__name__ == "BatchResult":
        values["error"] = errors.RunFailedError("ValueError", "no ink")
    return cls(**values)


def modules_in(pickled: bytes) -> Set[str]:
    """The modules of this package that a pickle names; a text that begins like one counts as well."""
    return {
        part
        for _, argument, _ in pickletools.genops(pickled)
        if isinstance(argument, str)
        for part in argument.split(" ")
        if part.startswith("langgraph_runs")
    }


@pytest.mark.parametrize(("package", "cls"), [case for case in CLASSES if case.values[1].__name__ not in NOT_PICKLED])
def test_a_pickle_names_public_modules_only(package: str, cls: Any) -> None:
    """In every protocol, so that a pickle of today can be read when the modules have moved."""
    instance = instance_of(cls)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        try:
            pickled = pickle.dumps(instance, protocol)
        except TypeError as error:
            assert protocol < 2 and "__slots__" in str(error)  # Python refuses slots in the two oldest protocols
            continue
        named = modules_in(pickled)
        assert set() == named - set(PACKAGES)
        assert package in named
        again = pickle.loads(pickled)
        assert cls is type(again)
        assert instance == again or repr(instance) == repr(again)


def test_a_pickle_is_read_in_a_process_that_has_imported_nothing() -> None:
    """The names that are imported late are found as well."""
    from langgraph_runs import BatchResult, NotFoundError, RequestInfo, Run

    run = Run(run_id="r", thread_id="t", status="error")
    error = NotFoundError("Not Found", status_code=404, request=RequestInfo("GET", "http://server"), run_id="r")
    pickled = pickle.dumps([BatchResult(index=0, run=run, error=error)])
    code = f"import pickle; print(pickle.loads({pickled!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert repr([BatchResult(index=0, run=run, error=error)]) == done.stdout.strip()


def test_the_package_exports_every_class_that_a_public_error_carries() -> None:
    assert {"Run", "RequestInfo"} <= set(langgraph_runs.__all__)
