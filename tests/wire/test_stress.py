"""Many threads and one client, everything at once. ``python -m tests.stress`` is the long form."""

from __future__ import annotations

from ..stress import KINDS, Stress, StressServer, program, switching_often


def test_many_threads_do_everything_with_one_client_at_once() -> None:
    """Each call gets its own response, abort and key; nothing is lost, blocked for ever, or left behind."""
    with StressServer(program) as server, switching_often():
        stress = Stress(server)
        stress.run(1.5, threads=len(KINDS))
    assert not stress.wrong, "\n".join(stress.wrong)
    assert set(KINDS) == set(stress.counts)
