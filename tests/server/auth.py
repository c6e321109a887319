"""Who may do what on the guarded test server. Runs inside the server's process: imports nothing of ours."""

from __future__ import annotations

from typing import Any

from langgraph_sdk import Auth

auth = Auth()
#: Key to identity; every other key is unknown.
KEYS = {"key-of-alice": "alice", "key-of-bob": "bob", "key-of-a-reader": "reader", "key-of-a-hog": "hog"}


@auth.authenticate
async def who(headers: dict[bytes, bytes]) -> str:
    key = headers.get(b"x-api-key", b"").decode()
    if key not in KEYS:
        raise Auth.exceptions.HTTPException(status_code=401, detail="Invalid API key")
    return KEYS[key]


@auth.on
async def owned(ctx: Any, value: dict[str, Any]) -> dict[str, Any]:
    """Everybody sees what is their own. Readers may not write; hogs have had enough."""
    if ctx.action.startswith("create"):
        if ctx.user.identity == "reader":
            raise Auth.exceptions.HTTPException(status_code=403, detail="read only")
        if ctx.user.identity == "hog":
            raise Auth.exceptions.HTTPException(status_code=429, detail="enough", headers={"Retry-After": "7"})
    metadata = value.setdefault("metadata", {})
    metadata["owner"] = ctx.user.identity
    return {"owner": ctx.user.identity}
