"""The replies of a fake LangGraph server about assistants, crons and the store. Crons start no runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Optional
from urllib.parse import parse_qs

from .dialect import Dialect
from .fake_run import Program
from .loopback_server import Request
from .replies import Reply, reply, reply_json
from .run_replies import RunReplies
from .server_json import assistant_id_of, assistant_json, cron_json, is_id, new_id, now

__all__ = ["ResourceReplies", "page_of"]

#: The fields of an assistant that its versions have.
_OF_A_VERSION = ("assistant_id", "version", "graph_id", "config", "context", "metadata", "created_at", "name", "description")
_OF_A_PAYLOAD = ("schedule", "enabled", "end_time", "timezone", "on_run_completed")


class ResourceReplies(RunReplies):
    """Assistants, crons and items of the store, in memory."""

    def __init__(self, program: Program, dialect: Optional[Dialect] = None, *, seed: Any = 0) -> None:
        #: The assistants that were created by requests, by id, as JSON: the versions of each, oldest first.
        self.assistants: dict[str, list[dict[str, Any]]] = {}
        #: The current version of each, by its number.
        self._latest: dict[str, int] = {}
        #: The crons, by id, as JSON; oldest first.
        self.crons: dict[str, dict[str, Any]] = {}
        #: The items of the store, by namespace and key, as JSON.
        self.items: dict[tuple[tuple[str, ...], str], dict[str, Any]] = {}
        super().__init__(program, dialect, seed=seed)

    def error(self, status: int, text: str) -> Reply:
        """Return an error in the form of the server's dialect."""
        if self.dialect.errors == "error":
            return reply_json(status, {"error": HTTPStatus(status).phrase.lower().replace(" ", "_"), "message": text})
        return reply_json(status, text if self.dialect.errors == "bare" else {"detail": text})

    # -- assistants

    def route_assistants(self, method: str, rest: list[str], body: Any) -> Optional[Reply]:
        """Return the reply to a request below ``/assistants``; None if there is no such endpoint."""
        if method == "POST" and rest in (["search"], ["count"]):
            found = [one for one in self._all_assistants() if _fits_assistant(one, body)]
            return reply_json(200, len(found)) if rest == ["count"] else _page(found[::-1], body)
        if method == "POST" and not rest:
            return self._create_assistant(body)
        if not rest:
            return self.error(405, "Method Not Allowed")
        # A graph of this server may be named instead of its assistant, but only to draw it.
        assistant_id = assistant_id_of(rest[0]) if rest[1:] == ["graph"] else rest[0]
        if not is_id(assistant_id):
            return self.error(422, "Invalid assistant ID: must be a UUID")
        found_one = self._assistant(assistant_id)
        if found_one is None:
            about = f"Assistant with ID {assistant_id} not found" if method != "GET" else "Not Found"
            return self.error(404, about)
        return self._route_assistant(method, rest[1:], found_one, body)

    def _route_assistant(self, method: str, rest: list[str], one: dict[str, Any], body: Any) -> Optional[Reply]:
        assistant_id = one["assistant_id"]
        action = (method, *rest)
        if action == ("GET",):
            return reply_json(200, one)
        if action == ("DELETE",):
            self.assistants.pop(assistant_id, None)
            self._latest.pop(assistant_id, None)
            return reply(204)
        if action == ("GET", "graph"):
            ends = [{"source": "__start__", "target": "agent"}, {"source": "agent", "target": "__end__"}]
            return reply_json(200, {"nodes": [{"id": name} for name in ("__start__", "agent", "__end__")], "edges": ends})
        if action == ("GET", "schemas"):
            schemas = dict.fromkeys(("input_schema", "output_schema", "state_schema", "config_schema", "context_schema"))
            return reply_json(200, {"graph_id": one["graph_id"], **schemas})
        if action[:2] == ("GET", "subgraphs"):
            return reply_json(200, {})
        versions = self.assistants.setdefault(assistant_id, [one])
        self._latest.setdefault(assistant_id, one["version"])
        if action == ("PATCH",):
            given = {name: value for name, value in body.items() if name in one and name != "metadata"}
            metadata = {**one["metadata"], **(body.get("metadata") or {})}
            number = len(versions) + 1
            versions.append({**one, **given, "metadata": metadata, "version": number, "updated_at": now()})
            self._latest[assistant_id] = number
            return reply_json(200, versions[-1])
        if action == ("POST", "versions"):
            wanted = (body.get("metadata") or {}).items()
            found = [
                {**{name: version[name] for name in _OF_A_VERSION}, "created_at": version["updated_at"]}
                for version in versions[::-1]
                if wanted <= version["metadata"].items()
            ]
            return _page(found, body)
        if action == ("POST", "latest"):
            number = body.get("version")
            if number not in range(1, len(versions) + 1):
                return self.error(404, f"Version {number} not found for assistant {assistant_id}")
            self._latest[assistant_id] = number
            return reply_json(200, versions[number - 1])
        return None

    def _all_assistants(self) -> list[dict[str, Any]]:
        names = sorted({self.graph_of(run.assistant_id) for run in self.created} | {"agent"})
        own = [assistant_json(name, self.since) for name in names]
        made = [versions[self._latest[assistant_id] - 1] for assistant_id, versions in self.assistants.items()]
        return [one for one in own if one["assistant_id"] not in self.assistants] + made

    def _assistant(self, assistant_id: str) -> Optional[dict[str, Any]]:
        return next((one for one in self._all_assistants() if one["assistant_id"] == assistant_id), None)

    def _create_assistant(self, body: Any) -> Reply:
        if "graph_id" not in body:
            return self.error(422, '"graph_id" is a required property')
        assistant_id = body.get("assistant_id") or new_id()
        if not is_id(assistant_id):
            return self.error(422, "Invalid assistant ID: must be a UUID")
        existing = self._assistant(assistant_id)
        if existing is not None:
            if body.get("if_exists") == "do_nothing":
                return reply_json(200, existing)
            return self.error(409, f"Assistant {assistant_id} already exists")
        made = {**assistant_json(body["graph_id"]), "assistant_id": assistant_id, "name": "Untitled", "metadata": {}}
        made.update({name: body[name] for name in ("name", "description", "config", "context", "metadata") if body.get(name)})
        if body.get("context") and not body.get("config"):
            made["config"] = {"configurable": dict(body["context"])}
        self.assistants[assistant_id], self._latest[assistant_id] = [made], 1
        return reply_json(200, made)

    # -- crons

    def route_crons(self, method: str, rest: list[str], body: Any, thread_id: Optional[str] = None) -> Optional[Reply]:
        """Return the reply to a request below ``/runs/crons``, or that creates a cron of a thread; None if there is no endpoint."""
        if method == "POST" and not rest:
            return self._create_cron(thread_id, body)
        if method == "POST" and rest in (["search"], ["count"]):
            found = [one for one in self.crons.values() if _fits_cron(one, body)]
            return reply_json(200, len(found)) if rest == ["count"] else _page(found[::-1], body)
        if len(rest) != 1:
            return None
        if not is_id(rest[0]):
            return self.error(422, "Invalid cron ID: must be a UUID")
        cron = self.crons.get(rest[0])
        if cron is None:
            return self.error(404, f"Cron '{rest[0]}' not found" if method == "PATCH" else "Not Found")
        if method == "DELETE":
            del self.crons[rest[0]]
            return reply(204)
        if method == "PATCH":
            if not body:
                return self.error(400, "Request body cannot be empty")
            cron.update({name: body[name] for name in _OF_A_PAYLOAD if name in body}, updated_at=now())
            cron["metadata"] = {**cron["metadata"], **(body.get("metadata") or {})}
            cron["payload"] = {**cron["payload"], **body}
        return reply_json(200, cron) if method in ("GET", "PATCH") else None

    def _create_cron(self, thread_id: Optional[str], body: Any) -> Reply:
        missing = [name for name in ("assistant_id", "schedule") if name not in body]
        if missing:
            return self.error(422, f'"{missing[0]}" is a required property')
        if len(str(body["schedule"]).split()) < 5:
            return self.error(422, f"Invalid cron schedule: '{body['schedule']}'. Reason: Invalid cron schedule.")
        if thread_id is not None and thread_id not in self.threads:
            return self.error(404, f"Thread with ID '{thread_id}' not found.")
        cron = cron_json(body, thread_id)
        self.crons[cron["cron_id"]] = cron
        return reply_json(200, cron)

    # -- the store

    def route_store(self, request: Request, method: str, rest: list[str], body: Any) -> Optional[Reply]:
        """Return the reply to a request below ``/store``; None if there is no such endpoint."""
        if rest == ["items"] and method == "GET":
            query = parse_qs(request.query, keep_blank_values=True)
            key = query.get("key", [""])[-1]
            if not key:
                return reply_json(400, {"error": "Key is required"})
            return reply_json(200, self.items.get((tuple(query.get("namespace", [""])[-1].split(".")), key)))
        action = (method, *rest)
        if action == ("POST", "namespaces"):
            return self._namespaces(body)
        if action == ("POST", "items", "search"):
            prefix, wanted = tuple(body.get("namespace_prefix") or ()), (body.get("filter") or {}).items()
            found = [
                {**item, "score": None}
                for (namespace, _), item in self.items.items()
                if namespace[: len(prefix)] == prefix and wanted <= item["value"].items()
            ]
            return reply_json(200, {"items": page_of(found, body)})
        if action not in (("PUT", "items"), ("DELETE", "items")):
            return None
        namespace = tuple(body.get("namespace") or ())
        if not namespace:
            return self.error(400, "Namespace cannot be empty.")
        place, moment = (namespace, body["key"]), now()
        if method == "DELETE":
            self.items.pop(place, None)
        else:
            created = self.items.get(place, {}).get("created_at", moment)
            item = {"namespace": list(namespace), "key": body["key"], "value": body["value"]}
            self.items[place] = {**item, "created_at": created, "updated_at": moment}
        return reply(204)

    def _namespaces(self, body: Any) -> Reply:
        prefix, suffix = tuple(body.get("prefix") or ()), tuple(body.get("suffix") or ())
        found = {
            namespace[: body.get("max_depth")]
            for namespace, _ in self.items
            if namespace[: len(prefix)] == prefix and (not suffix or namespace[-len(suffix) :] == suffix)
        }
        return reply_json(200, {"namespaces": [list(namespace) for namespace in page_of(sorted(found), body, 100)]})


def page_of(found: list[Any], body: Mapping[str, Any], limit: int = 10) -> list[Any]:
    """Return the part of the found objects that the body of a search selects; *limit* of them if it does not say how many."""
    offset = body.get("offset") or 0
    return found[offset : offset + (body.get("limit") or limit)]


def _page(found: list[dict[str, Any]], body: Mapping[str, Any]) -> Reply:
    """Return a page of the objects: sorted, cut and selected as the request says."""
    if body.get("sort_by"):
        key: Callable[[dict[str, Any]], str] = lambda one: str(one.get(body["sort_by"]) or "")  # noqa: E731
        found = sorted(found, key=key, reverse=body.get("sort_order") == "desc")
    page, select = page_of(found, body), body.get("select")
    whole = reply_json(200, [{k: v for k, v in one.items() if k in select} for one in page] if select else page)
    end = (body.get("offset") or 0) + len(page)
    return whole if end >= len(found) else whole.with_header("X-Pagination-Next", str(end))


def _fits_assistant(one: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    return (
        body.get("graph_id") in (None, one["graph_id"])
        and str(body.get("name") or "").lower() in str(one["name"]).lower()
        and (body.get("metadata") or {}).items() <= one["metadata"].items()
    )


def _fits_cron(one: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    names = ("assistant_id", "thread_id", "enabled")
    same = all(body.get(name) in (None, one[name]) for name in names)
    return same and (body.get("metadata") or {}).items() <= one["metadata"].items()
