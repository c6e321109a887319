"""What a client offers: one method for each documented call. Checks arguments, and leaves the work to the packages below."""

from .assistants import AssistantsClient
from .runs import RunsClient
from .threads import ThreadsClient

__all__ = ["AssistantsClient", "RunsClient", "ThreadsClient"]
