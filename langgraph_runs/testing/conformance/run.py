"""`check_conformance`: runs the checks on a server and returns what they found."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple, Union

from ... import AbortedError, Client, InvalidRequestError, LangGraphRunsError
from . import once, server, streams, truth
from .check import Check, Finding, NotTried, PromiseBroken, not_tried
from .results import Conformance, ConformanceRow, Graph, Graphs, Verdict
from .trial import Clients, Trial
from .ways import status_of

__all__ = ["CATALOG", "check_conformance"]

#: All checks, by the area of their promise, in the order in which they are made.
CATALOG: Dict[str, Tuple[Check, ...]] = {
    "Exact results": truth.CHECKS,
    "Each run once": once.CHECKS,
    "Complete streams": streams.CHECKS,
    "Lists, states, statuses": server.CHECKS,
}


def check_conformance(
    client: Client,
    assistant_id: Union[str, Graph],
    *,
    input: Any = None,
    failing: Union[str, Graph, None] = None,
    pausing: Union[str, Graph, None] = None,
    lasting: Union[str, Graph, None] = None,
    streaming: Union[str, Graph, None] = None,
    exceeding: Union[str, Graph, None] = None,
    only: Iterable[str] = (),
    timeout_each: float = 60.0,
    concurrency: int = 8,
    on_row: Optional[Callable[[ConformanceRow, int, int], object]] = None,
) -> Conformance:
    """Run the checks on the server of *client* and return what was found, promise by promise.

    *assistant_id* with *input* is a graph that succeeds; its runs are made about a hundred times. Further graphs are named by an id
    or a `Graph`. A check whose graph is not named has the verdict ``not tried``.

    - *failing*: a graph that raises.
    - *pausing*: a graph that asks a human by ``interrupt()``.
    - *lasting*: a graph that takes ten seconds or longer; its runs are cancelled.
    - *streaming*: a graph that writes at least 20 custom events within some seconds, the same ones in each run.
    - *exceeding*: a graph that takes longer than the server allows a run.
    - *only*: the names of the checks to make; all if it is empty.
    - *timeout_each*: seconds that one check may take.
    - *concurrency*: the number of checks at the same time.
    - *on_row*: called, in the thread of the caller, with each row, the number of checks done, and the number of all checks.

    Blocks until all checks are done. Each check runs on new threads and deletes them, also if it fails or Ctrl-C ends it. An error
    of the server is a row, not an exception. Raises `InvalidRequestError` for wrong arguments and if the graph does not succeed,
    every error of the first run, such as `APIConnectionError` or `NotFoundError`, and `AbortedError` if the client is closed
    meanwhile. Checks that break connections use a proxy on this machine's loopback, and need a server that is reached
    over ``http://`` and without a proxy of the environment.
    """
    others = {"failing": failing, "pausing": pausing, "lasting": lasting, "streaming": streaming, "exceeding": exceeding}
    graphs = Graphs.of(assistant_id, input, **others)
    chosen = _chosen(only)
    if not isinstance(concurrency, int) or concurrency < 1:
        raise InvalidRequestError(f"concurrency={concurrency!r}: give a whole number of at least 1")
    rows: Dict[str, ConformanceRow] = {}
    left: List[str] = []
    _check_main(client, graphs.main, timeout_each)
    with Clients(client) as clients, ThreadPoolExecutor(concurrency, "conformance") as pool:
        begun = [pool.submit(_row, clients, graphs, area, check, timeout_each, left) for area, check in chosen]
        try:
            for done in as_completed(begun):
                row = done.result()
                rows[row.name] = row
                if on_row is not None:
                    on_row(row, len(rows), len(chosen))
        except BaseException:
            # Ends the checks in progress at once; each then deletes its threads, and leaving the block waits for that.
            for check_in_progress in begun:
                check_in_progress.cancel()
            clients.close()
            raise
    return Conformance(client.base_url, tuple(rows[check.name] for _, check in chosen), tuple(left))


def _check_main(client: Client, graph: Graph, limit: float) -> None:
    """Run the main graph once. Raise if the server cannot be reached, does not have it, or if its run does not succeed."""
    with Clients(client) as clients:
        trial = Trial(clients, Graphs(graph), limit=limit)
        try:
            status = status_of(trial, graph)
        except PromiseBroken as broken:
            raise InvalidRequestError(f"a run of {graph.assistant_id!r} does not end: {broken}") from broken
        finally:
            trial.clean_up()
    if status != "success":
        raise InvalidRequestError(
            f"a run of {graph.assistant_id!r} ended with the status {status!r}; the checks need a graph and an input that succeed"
        )


def _chosen(only: Iterable[str]) -> List[Tuple[str, Check]]:
    every = [(area, check) for area, checks in CATALOG.items() for check in checks]
    names = [only] if isinstance(only, str) else list(only)
    unknown = set(names) - {check.name for _, check in every}
    if unknown:
        known = ", ".join(check.name for _, check in every)
        raise InvalidRequestError(f"only={sorted(unknown)}: there are no such checks; there are {known}")
    return [(area, check) for area, check in every if not names or check.name in names]


def _row(clients: Clients, graphs: Graphs, area: str, check: Check, limit: float, left: List[str]) -> ConformanceRow:
    """Make one check, and delete what it has created."""
    begun = time.monotonic()
    trial = Trial(clients, graphs, limit=limit)
    try:
        finding = _missing(clients.base_url, graphs, check) or _made(check, trial)
    finally:
        left += trial.clean_up()
    return ConformanceRow(
        check.name, area, check.promise, finding.verdict, finding.found, finding.handling, time.monotonic() - begun
    )


def _missing(base_url: str, graphs: Graphs, check: Check) -> Optional[Finding]:
    """Return why the check cannot be made with what was named, or None."""
    missing = [name for name in check.needs if getattr(graphs, name) is None]
    if missing:
        return not_tried(f"no graph was named for it: {', '.join(missing)}")
    if check.cuts and not base_url.startswith("http://"):
        return not_tried("connections are broken on http:// only")
    return None


def _made(check: Check, trial: Trial) -> Finding:
    try:
        return check.function(trial)
    except NotTried as reason:
        return not_tried(str(reason))
    except PromiseBroken as broken:
        return Finding(Verdict.BROKEN, str(broken))
    except AbortedError:
        raise
    except LangGraphRunsError as error:
        return Finding(Verdict.BROKEN, f"{type(error).__name__}: {error}")
