"""The SQL of a ledger in PostgreSQL.

Each change names the owner that must hold the claim, and has the same effect if it is written twice: the connection may break after
the server has committed a statement and before the client knows. So a result keeps the owner that has written it.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

from ..store import Changes

__all__ = [
    "ADD_OWNER",
    "LEDGER",
    "LOOK_UP",
    "MAKE_LEDGER",
    "ORPHANED_THREADS",
    "OWNERS_WITHOUT_LOCK",
    "RELEASE_CLAIMS",
    "REMOVE_DEAD_OWNER",
    "REMOVE_OWNER",
    "RENEW_OWNER",
    "SET_OPTIONS",
    "WRITE",
    "parameters_of",
]

# -- ledgers and owners

MAKE_LEDGER = (
    "INSERT INTO langgraph_runs_ledger (name, url, assistant_id, options) VALUES (%s, %s, %s, %s) ON CONFLICT (name) DO NOTHING"
)
SET_OPTIONS = "UPDATE langgraph_runs_ledger SET options = %s WHERE name = %s AND options IS NULL"
LEDGER = "SELECT id, url, assistant_id, options FROM langgraph_runs_ledger WHERE name = %s"

ADD_OWNER = "INSERT INTO langgraph_runs_owner (id, ledger, host, pid) VALUES (%s, %s, %s, %s)"
RENEW_OWNER = "UPDATE langgraph_runs_owner SET connections = connections + 1 WHERE id = %s"
REMOVE_OWNER = "DELETE FROM langgraph_runs_owner WHERE id = %s"
REMOVE_DEAD_OWNER = "DELETE FROM langgraph_runs_owner WHERE id = %s AND connections = %s"
RELEASE_CLAIMS = "UPDATE langgraph_runs_entry SET owner = NULL WHERE owner = %s AND status = 'started'"
#: The lock on a number of 64 bits has its halves in two columns.
OWNERS_WITHOUT_LOCK = """
    SELECT id, connections FROM langgraph_runs_owner
    WHERE ledger = %s AND id <> %s AND id NOT IN (
        SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 1 AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    )
"""

# -- inputs

_RECORD = (
    "entry.digest, entry.status, entry.owner IS NOT NULL, entry.thread_id, entry.run_id, entry.attempts, entry.seconds,"
    ' entry.paused, entry."values", entry.error'
)
LOOK_UP = f"SELECT entry.key, {_RECORD} FROM langgraph_runs_entry AS entry WHERE ledger = %s AND key = ANY(%s::text[])"
ORPHANED_THREADS = "SELECT thread_id FROM langgraph_runs_orphaned_thread WHERE ledger = %s LIMIT %s"

#: Writes a `Changes`. Returns a row for each input that was held and finished, released or moved (``held``), for each that is
#: claimed now (``claim``), and for each wanted input that has its result or another digest (``record``).
#:
#: Two maps that claim the same inputs do not wait for each other's existing rows (SKIP LOCKED), and wait for new rows in the order
#: of their keys, so that they cannot block each other. For a map, an input that another one is claiming now is claimed.
WRITE = f"""
WITH finished AS (
    UPDATE langgraph_runs_entry AS entry
    SET status = given.status, run_id = given.run_id, rerun_failed = false, paused = given.paused, seconds = given.seconds,
        "values" = given."values", error = given.error, attempts = given.attempts, thread_id = given.kept_thread
    FROM unnest(
        %(finished_key)s::text[], %(finished_status)s::text[], %(finished_run_id)s::text[], %(finished_paused)s::boolean[],
        %(finished_seconds)s::float8[], %(finished_values)s::text[], %(finished_error)s::text[], %(finished_attempts)s::int[],
        %(finished_kept_thread)s::text[], %(finished_orphaned_thread)s::text[]
    ) AS given (key, status, run_id, paused, seconds, "values", error, attempts, kept_thread, orphaned_thread)
    WHERE entry.ledger = %(ledger)s AND entry.key = given.key AND entry.owner = %(owner)s
    RETURNING entry.key, given.orphaned_thread
), released AS (
    UPDATE langgraph_runs_entry AS entry
    SET status = given.status, owner = NULL, rerun_failed = given.rerun_failed, thread_id = given.thread_id, error = given.error
    FROM unnest(
        %(released_key)s::text[], %(released_status)s::text[], %(released_rerun_failed)s::boolean[], %(released_thread_id)s::text[],
        %(released_error)s::text[]
    ) AS given (key, status, rerun_failed, thread_id, error)
    WHERE entry.ledger = %(ledger)s AND entry.key = given.key AND entry.owner = %(owner)s AND entry.status = 'started'
    RETURNING entry.key
), moved AS (
    UPDATE langgraph_runs_entry AS entry SET thread_id = given.thread_id, rerun_failed = false, run_id = NULL
    FROM unnest(%(moved_key)s::text[], %(moved_thread_id)s::text[], %(moved_orphaned_thread)s::text[])
        AS given (key, thread_id, orphaned_thread)
    WHERE entry.ledger = %(ledger)s AND entry.key = given.key AND entry.owner = %(owner)s AND entry.status = 'started'
    RETURNING entry.key, given.orphaned_thread
), forgotten AS (
    UPDATE langgraph_runs_entry AS entry SET thread_id = NULL, rerun_failed = false
    FROM unnest(%(forgotten_key)s::text[], %(forgotten_thread_id)s::text[]) AS given (key, thread_id)
    WHERE entry.ledger = %(ledger)s AND entry.key = given.key AND entry.thread_id = given.thread_id
        AND entry.status = 'pending' AND entry.owner IS NULL
), orphaned AS (
    INSERT INTO langgraph_runs_orphaned_thread (ledger, thread_id)
    SELECT %(ledger)s, orphaned_thread
    FROM (SELECT orphaned_thread FROM finished UNION SELECT orphaned_thread FROM moved) AS ended
    WHERE orphaned_thread IS NOT NULL
    ON CONFLICT DO NOTHING
), deleted AS (
    DELETE FROM langgraph_runs_orphaned_thread WHERE ledger = %(ledger)s AND thread_id = ANY(%(deleted)s::text[])
), wanted AS (
    SELECT * FROM unnest(
        %(wanted_key)s::text[], %(wanted_digest)s::text[], %(wanted_index)s::bigint[], %(wanted_thread_id)s::text[]
    ) AS given (key, digest, place, thread_id)
), existing AS (
    SELECT entry.*, wanted.digest AS wanted_digest
    FROM wanted JOIN langgraph_runs_entry AS entry ON entry.ledger = %(ledger)s AND entry.key = wanted.key
), free AS (
    SELECT entry.key
    FROM wanted JOIN langgraph_runs_entry AS entry ON entry.ledger = %(ledger)s AND entry.key = wanted.key
    WHERE entry.digest = wanted.digest AND entry.status IN ('pending', 'started')
        AND (entry.owner IS NULL OR entry.owner = %(owner)s)
    FOR UPDATE OF entry SKIP LOCKED
), claimed AS (
    UPDATE langgraph_runs_entry AS entry
    SET status = 'started', owner = %(owner)s, thread_id = coalesce(entry.thread_id, wanted.thread_id),
        rerun_failed = entry.rerun_failed AND entry.thread_id IS NOT NULL,
        attempts = entry.attempts + CASE WHEN entry.owner = %(owner)s THEN 0 ELSE 1 END
    FROM free JOIN wanted USING (key)
    WHERE entry.ledger = %(ledger)s AND entry.key = free.key
    RETURNING entry.*
), inserted AS (
    INSERT INTO langgraph_runs_entry AS entry (ledger, key, digest, place, status, owner, thread_id, attempts)
    SELECT %(ledger)s, key, digest, place, 'started', %(owner)s, thread_id, 1
    FROM wanted WHERE key NOT IN (SELECT key FROM existing) ORDER BY key COLLATE "C"
    ON CONFLICT DO NOTHING
    RETURNING entry.*
)
SELECT 'claim', entry.key, entry.rerun_failed, {_RECORD} FROM (SELECT * FROM claimed UNION ALL SELECT * FROM inserted) AS entry
UNION ALL
SELECT 'record', entry.key, entry.rerun_failed, {_RECORD} FROM existing AS entry
WHERE entry.status IN ('done', 'failed') OR entry.digest <> entry.wanted_digest
UNION ALL
SELECT 'held', key, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM (SELECT key FROM finished UNION ALL SELECT key FROM released UNION ALL SELECT key FROM moved) AS held
"""


def parameters_of(changes: Changes, new_threads: Mapping[str, str]) -> Dict[str, List[Any]]:
    """Return the arrays of `WRITE`. *new_threads* has a thread for each wanted input, for those that have none yet."""
    finished, released, moved, wanted = changes.finished, changes.released, changes.moved, changes.wanted
    results = [finish.result for finish in finished]
    return {
        "finished_key": [result.key for result in results],
        "finished_status": [finish.status for finish in finished],
        "finished_run_id": [result.run_id for result in results],
        "finished_paused": [result.paused for result in results],
        "finished_seconds": [float(result.seconds) for result in results],
        "finished_values": [None if values is None else values.decode() for values in [finish.values for finish in finished]],
        "finished_error": [finish.error for finish in finished],
        "finished_attempts": [result.attempts for result in results],
        "finished_kept_thread": [finish.kept_thread for finish in finished],
        "finished_orphaned_thread": [finish.orphaned_thread for finish in finished],
        "released_key": [release.claim.key for release in released],
        "released_status": [release.status for release in released],
        "released_rerun_failed": [release.rerun_failed for release in released],
        "released_thread_id": [release.thread_id for release in released],
        "released_error": [release.error for release in released],
        "moved_key": [move.claim.key for move in moved],
        "moved_thread_id": [move.thread_id for move in moved],
        "moved_orphaned_thread": [move.claim.thread_id if move.delete else None for move in moved],
        "forgotten_key": list(changes.forgotten),
        "forgotten_thread_id": list(changes.forgotten.values()),
        "deleted": list(changes.deleted),
        "wanted_key": [one.key for one in wanted],
        "wanted_digest": [one.digest for one in wanted],
        "wanted_index": [one.index for one in wanted],
        "wanted_thread_id": [new_threads[one.key] for one in wanted],
    }
