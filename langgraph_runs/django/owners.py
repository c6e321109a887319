"""`ThreadOwner`: give each user access to the user's own threads only. The owner is stored in the metadata of the thread."""

from __future__ import annotations

import functools
from typing import Any, Callable, Dict, List, Mapping, Optional, TypeVar, Union

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest

from .. import BadRequestError, Client, InvalidRequestError, NotFoundError, Run, Thread, UnprocessableEntityError
from .clients import get_client

__all__ = ["ThreadOwner"]

V = TypeVar("V", bound=Callable[..., Any])
#: The errors for an id that does not exist, or is not an id.
_NO_SUCH_ID = (NotFoundError, UnprocessableEntityError, BadRequestError, InvalidRequestError)


def _signed_in(request: HttpRequest) -> Optional[str]:
    user = getattr(request, "user", None)
    return str(user.pk) if user is not None and user.is_authenticated else None


class ThreadOwner:
    """Creates threads with their owner in the metadata, and finds only the threads of the owner who sends the request.

    For a thread of another owner, and for one that does not exist, the response is the same 404, so that users cannot find out
    which ids exist.

    Arguments:
        key: The key of the metadata that holds the owner. Users must not be able to set it: `create` sets it last, and
            ``client.threads.update(metadata=...)`` must only be called with keys that your code chooses.
        of: A function from the request to the owner, as text, or None for no owner. The default is the primary key of the user who
            is signed in.
        client: A `Client`, or the name of a configuration for `get_client`.
    """

    def __init__(
        self,
        *,
        key: str = "owner",
        of: Callable[[HttpRequest], Optional[str]] = _signed_in,
        client: Union[Client, str] = "default",
    ) -> None:
        self._key = key
        self._of = of
        self._given = client

    @property
    def _client(self) -> Client:
        return get_client(self._given) if isinstance(self._given, str) else self._given

    def create(self, request: HttpRequest, *, metadata: Optional[Mapping[str, Any]] = None, **options: Any) -> Thread:
        """Create a thread that belongs to the request's owner; raise ``PermissionDenied`` if the request has no owner.

        *options* are those of ``client.threads.create``. With ``if_exists="do_nothing"``, raises ``Http404`` if the thread belongs
        to another owner.
        """
        owner = self._owner(request)
        if owner is None:
            raise PermissionDenied("sign in to begin a thread")
        marked: Dict[str, Any] = {**(metadata or {}), self._key: owner}
        return self._checked(self._client.threads.create(metadata=marked, **options), owner)

    def get(self, request: HttpRequest, thread_id: str) -> Thread:
        """Return the thread if it belongs to the request's owner, else raise ``Http404``. Sends one request."""
        owner = self._owner(request)
        if owner is None:
            raise Http404("no such thread")
        try:
            return self._checked(self._client.threads.get(thread_id), owner)
        except _NO_SUCH_ID:
            raise Http404("no such thread") from None

    def get_run(self, request: HttpRequest, thread_id: str, run_id: str) -> Run:
        """Return a run of a thread that belongs to the request's owner, else raise ``Http404``. Sends two requests."""
        self.get(request, thread_id)
        try:
            return self._client.runs.get(thread_id, run_id)
        except _NO_SUCH_ID:
            raise Http404("no such run") from None

    def search(self, request: HttpRequest, *, metadata: Optional[Mapping[str, Any]] = None, **options: Any) -> List[Thread]:
        """Return the threads of the request's owner; none if the request has no owner.

        *options* are those of ``client.threads.search``, except for ``select``.
        """
        owner = self._owner(request)
        if owner is None:
            return []
        wanted: Dict[str, Any] = {**(metadata or {}), self._key: owner}
        # Filtered again here, in case the server ignores the filter.
        return [thread for thread in self._client.threads.search(metadata=wanted, **options) if self._belongs_to(thread, owner)]

    def required(self, view: V) -> V:
        """Decorate a view that takes ``thread_id``: it raises ``Http404`` unless the thread belongs to the request's owner.

        For a method of a class-based view use Django's ``method_decorator``.
        """

        @functools.wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            if "thread_id" not in kwargs:
                raise InvalidRequestError("a view with ThreadOwner.required takes thread_id from its URL, by name")
            self.get(request, str(kwargs["thread_id"]))
            return view(request, *args, **kwargs)

        return checked  # type: ignore[return-value]

    def _owner(self, request: HttpRequest) -> Optional[str]:
        return self._of(request) or None

    def _belongs_to(self, thread: Thread, owner: str) -> bool:
        return thread.metadata.get(self._key) == owner

    def _checked(self, thread: Thread, owner: str) -> Thread:
        if not self._belongs_to(thread, owner):
            raise Http404("no such thread")
        return thread
