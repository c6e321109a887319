"""`ThreadOwner`: one user cannot reach another's thread. The owner stands in the thread's metadata, and is asked for each time."""

from __future__ import annotations

import functools
from typing import Any, Callable, Dict, List, Mapping, Optional, TypeVar, Union

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest

from .. import BadRequestError, Client, InvalidRequestError, NotFoundError, Run, Thread, UnprocessableEntityError
from .clients import get_client

__all__ = ["ThreadOwner"]

V = TypeVar("V", bound=Callable[..., Any])
#: What a thread that is not there, or cannot be, is answered with.
_NOT_THERE = (NotFoundError, UnprocessableEntityError, BadRequestError, InvalidRequestError)


def _signed_in(request: HttpRequest) -> Optional[str]:
    user = getattr(request, "user", None)
    return str(user.pk) if user is not None and user.is_authenticated else None


class ThreadOwner:
    """Threads that belong to somebody: made with their owner in the metadata, and found by that owner only.

    A thread of somebody else's is answered as one that does not exist, with 404, so that nobody learns which ids there are.

    Arguments:
        key: Of the metadata that holds the owner. Let nothing that a user sends reach it: `create` sets it last, and
            ``client.threads.update(metadata=...)`` is to be called with keys of your own only.
        of: Says who asks, as text, or None for nobody. Not given: the primary key of the user who is signed in.
        client: That of `get_client` unless given: a `Client`, or the name of a configuration.
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
        """A new thread of whoever asks; raises ``PermissionDenied`` for nobody.

        *options* as in ``client.threads.create``. With ``if_exists="do_nothing"`` a thread of somebody else's is a 404.
        """
        owner = self._owner(request)
        if owner is None:
            raise PermissionDenied("sign in to begin a thread")
        marked: Dict[str, Any] = {**(metadata or {}), self._key: owner}
        return self._checked(self._client.threads.create(metadata=marked, **options), owner)

    def get(self, request: HttpRequest, thread_id: str) -> Thread:
        """The thread, if it belongs to whoever asks; else raises ``Http404``. One request."""
        owner = self._owner(request)
        if owner is None:
            raise Http404("no such thread")
        try:
            return self._checked(self._client.threads.get(thread_id), owner)
        except _NOT_THERE:
            raise Http404("no such thread") from None

    def get_run(self, request: HttpRequest, thread_id: str, run_id: str) -> Run:
        """A run of such a thread; else raises ``Http404``. Two requests."""
        self.get(request, thread_id)
        try:
            return self._client.runs.get(thread_id, run_id)
        except _NOT_THERE:
            raise Http404("no such run") from None

    def search(self, request: HttpRequest, *, metadata: Optional[Mapping[str, Any]] = None, **options: Any) -> List[Thread]:
        """The threads of whoever asks; none for nobody. *options* as in ``client.threads.search``, without ``select``."""
        owner = self._owner(request)
        if owner is None:
            return []
        wanted: Dict[str, Any] = {**(metadata or {}), self._key: owner}
        # And once more here, should a server not know the filter.
        return [thread for thread in self._client.threads.search(metadata=wanted, **options) if self._is_of(thread, owner)]

    def required(self, view: V) -> V:
        """Decorates a view that takes ``thread_id``: it is called for threads of whoever asks, and is a 404 for others.

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

    def _is_of(self, thread: Thread, owner: str) -> bool:
        return thread.metadata.get(self._key) == owner

    def _checked(self, thread: Thread, owner: str) -> Thread:
        if not self._is_of(thread, owner):
            raise Http404("no such thread")
        return thread
