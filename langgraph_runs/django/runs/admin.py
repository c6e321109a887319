"""The admin of rows: to look at runs, and to cancel, retry and refresh them. Rows are not edited by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import NoReverseMatch, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from ... import APIConnectionError, LangGraphRunsError
from .models import AgentRun, WrongStatusError
from .statuses import CANCELLABLE, RETRYABLE, Status

__all__ = ["AgentRunAdmin"]

#: Characters of a JSON value or a text that a page shows.
_SHOWN = 50_000
#: Fields that may be large, which the list does not read.
_LARGE = ("input", "options", "answer", "values", "questions", "own_thread_ids", "earlier_run_ids")
_NOTHING = "-"
_LINE = '<span class="agent-run-line">{}</span>'


class _Act(NamedTuple):
    """What the admin can do with a row."""

    label: str
    #: The permission, without the label of the app.
    permission: str
    #: The statuses of the rows for which the page of a row has the button.
    statuses: Tuple[Status, ...]
    work: Callable[[AgentRun], object]
    done: str


_ACTS: Mapping[str, _Act] = {
    "refresh": _Act(
        "Refresh",
        "change",
        (Status.QUEUED, Status.STARTED, Status.PAUSED, Status.LOST),
        lambda row: row.refresh(),
        "brought up to date",
    ),
    "cancel": _Act("Cancel the run", "cancel", CANCELLABLE, lambda row: row.cancel(), "cancelled, or about to be"),
    "retry": _Act("Retry", "retry", RETRYABLE, lambda row: row.retry(), "begun again"),
}


if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[AgentRun]
else:
    _ModelAdmin = admin.ModelAdmin


@admin.register(AgentRun)
class AgentRunAdmin(_ModelAdmin):
    """The admin of `AgentRun`.

    Looking needs the permission to view, refreshing the permission to change, cancelling and retrying the permissions
    ``cancel_agentrun`` and ``retry_agentrun``.
    """

    list_display = ("short_id", "status_badge", "assistant", "owner", "created", "duration", "about_link")
    list_filter = (
        "status",
        ("assistant", admin.AllValuesFieldListFilter),
        ("created_at", admin.DateFieldListFilter),
        ("owner", admin.RelatedOnlyFieldListFilter),
    )
    list_select_related = ("owner", "content_type")
    list_per_page = 50
    show_full_result_count = False
    ordering = ("-created_at",)
    actions = ("cancel_runs", "retry_runs", "refresh_runs")

    class Media:
        css = {"all": ("langgraph_agent_runs/admin.css",)}

    # -- permissions

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: rows are made by ``AgentRun.objects.start``."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Optional[AgentRun] = None) -> bool:
        """Return False: rows are changed by the actions only."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Optional[AgentRun] = None) -> bool:
        """Return True for users who may view or change rows."""
        return self._has(request, "view") or self._has(request, "change")

    def has_refresh_permission(self, request: HttpRequest) -> bool:
        """Return True for users who may refresh rows."""
        return self._has(request, "change")

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Return True for users who may cancel runs."""
        return self._has(request, "cancel")

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Return True for users who may retry runs."""
        return self._has(request, "retry")

    def _has(self, request: HttpRequest, permission: str) -> bool:
        user: Any = request.user
        return bool(user.has_perm(f"{self.opts.app_label}.{permission}_{self.opts.model_name}"))

    # -- the list

    def get_queryset(self, request: HttpRequest) -> QuerySet[AgentRun]:
        """See Django."""
        return super().get_queryset(request).defer(*_LARGE)

    def get_search_fields(self, request: HttpRequest) -> List[str]:
        """See Django. The name of a user is its USERNAME_FIELD."""
        name = get_user_model().USERNAME_FIELD
        return ["id__startswith", "run_id", "thread_id", "key", "assistant", "object_id", "error", "message", f"owner__{name}"]

    @admin.display(description="run", ordering="id")
    def short_id(self, row: AgentRun) -> str:
        """Return the first part of the id."""
        return str(row.pk)[:8]

    @admin.display(description="status", ordering="status")
    def status_badge(self, row: AgentRun) -> str:
        """Return the status, with its color."""
        label = row.status_label
        if row.cancel_requested_at is not None and not row.ended:
            label += ", to be cancelled"
        return format_html('<span class="agent-run-status {}">{}</span>', row.status, label)

    @admin.display(description="about")
    def about_link(self, row: AgentRun) -> str:
        """Return a link to the object that the run is about. Does not read the object."""
        kind = row.content_type
        if kind is None:
            return _NOTHING
        return format_html(_LINE, _link(kind, str(row.object_id), f"{kind.name} {row.object_id}"))

    @admin.display(description="created", ordering="created_at")
    def created(self, row: AgentRun) -> str:
        """Return when the row was written, in one line."""
        moment = timezone.localtime(row.created_at) if timezone.is_aware(row.created_at) else row.created_at
        return format_html(_LINE, moment.strftime("%Y-%m-%d %H:%M"))

    @admin.display(description="took")
    def duration(self, row: AgentRun) -> str:
        """Return how long the run took."""
        if row.started_at is None or row.finished_at is None:
            return _NOTHING
        return format_html(_LINE, _seconds((row.finished_at - row.started_at).total_seconds()))

    # -- the page of a row

    def get_fieldsets(self, request: HttpRequest, obj: Optional[AgentRun] = None) -> Any:
        """Return the fields that the row has: no empty error, no questions of a run that asked none."""
        if obj is None:
            return []
        result = ["shown_questions"] if obj.questions else []
        result += ["error", "shown_message"] if obj.error else []
        result += ["shown_values"] if obj.values is not None else []
        given = ["shown_input", *(["shown_answer"] if obj.answer is not None else []), "shown_options"]
        about = ["status_badge", "assistant", "owner", "about_object", *(["key"] if obj.key else [])]
        times = ["created_at", "started_at", "finished_at", "duration", "checked_at", "attempts"]
        return [
            (None, {"fields": about}),
            *([("Result", {"fields": result})] if result else []),
            ("Input", {"fields": given}),
            ("Time", {"fields": times}),
            ("On the server", {"fields": ["server", "thread_id", "run_id", "id"]}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Optional[AgentRun] = None) -> List[str]:
        """Return all fields."""
        return [field for _, options in self.get_fieldsets(request, obj) for field in options["fields"]]

    @admin.display(description="about")
    def about_object(self, row: AgentRun) -> str:
        """Return a link to the object that the run is about, with its name."""
        kind = row.content_type
        if kind is None:
            return _NOTHING
        found = row.about if kind.model_class() is not None else None
        if found is None:
            return f"{kind.name} {row.object_id}, which was deleted"
        return _link(kind, str(row.object_id), str(found))

    @admin.display(description="input")
    def shown_input(self, row: AgentRun) -> str:
        """Return the input as text."""
        return _as_text(row.input)

    @admin.display(description="options")
    def shown_options(self, row: AgentRun) -> str:
        """Return the options as text, without the webhook, whose URL is a secret."""
        return _as_text({name: value for name, value in row.options.items() if name != "webhook"})

    @admin.display(description="answer")
    def shown_answer(self, row: AgentRun) -> str:
        """Return the answer of the human as text."""
        return _as_text(row.answer)

    @admin.display(description="values")
    def shown_values(self, row: AgentRun) -> str:
        """Return the values as text."""
        return _as_text(row.values)

    @admin.display(description="questions")
    def shown_questions(self, row: AgentRun) -> str:
        """Return the questions of a paused run as text."""
        values = [one.get("value") for one in row.questions or []]
        return _as_text(values[0] if len(values) == 1 else values)

    @admin.display(description="message")
    def shown_message(self, row: AgentRun) -> str:
        """Return the message of the error."""
        return _as_text(row.message)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Optional[Dict[str, Any]] = None
    ) -> HttpResponse:
        """See Django. The page has a button for each action that the row and the user allow."""
        row = self.get_object(request, object_id)
        buttons = [] if row is None else [
            {"label": act.label, "url": self._url_of("act", row.pk, name)}
            for name, act in _ACTS.items()
            if row.status in act.statuses and self._has(request, act.permission)
        ]  # fmt: skip
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "agent_run_buttons": buttons})

    # -- actions

    def _name_of(self, page: str) -> str:
        """Return the name of a page's URL, as Django makes it for its own pages."""
        return f"{self.opts.app_label}_{self.opts.model_name}_{page}"

    def _url_of(self, page: str, *args: Any) -> str:
        return reverse(f"{self.admin_site.name}:{self._name_of(page)}", args=args)

    def get_urls(self) -> List[Any]:
        """See Django."""
        view = self.admin_site.admin_view(require_POST(self.act_view))
        return [path("<uuid:pk>/run/<str:act>/", view, name=self._name_of("act")), *super().get_urls()]

    def act_view(self, request: HttpRequest, pk: Any, act: str) -> HttpResponse:
        """Carry out the action of a button, and show the page of the row again."""
        if act not in _ACTS:
            raise Http404("no such action")
        if not (self.has_view_permission(request) and self._has(request, _ACTS[act].permission)):
            raise PermissionDenied
        self._carry_out(request, AgentRun.objects.filter(pk=pk), act)
        return HttpResponseRedirect(self._url_of("change", pk))

    @admin.action(description="Cancel selected runs", permissions=["cancel"])
    def cancel_runs(self, request: HttpRequest, queryset: QuerySet[AgentRun]) -> None:
        """Cancel the runs of the selected rows."""
        self._carry_out(request, queryset, "cancel")

    @admin.action(description="Retry selected runs", permissions=["retry"])
    def retry_runs(self, request: HttpRequest, queryset: QuerySet[AgentRun]) -> None:
        """Begin the runs of the selected rows again."""
        self._carry_out(request, queryset, "retry")

    @admin.action(description="Refresh selected runs", permissions=["refresh"])
    def refresh_runs(self, request: HttpRequest, queryset: QuerySet[AgentRun]) -> None:
        """Bring the selected rows up to date."""
        self._carry_out(request, queryset, "refresh")

    def _carry_out(self, request: HttpRequest, queryset: QuerySet[AgentRun], name: str) -> None:
        """Carry out an action for each row, and report how many it was done for, and what went wrong."""
        act, done, refused = _ACTS[name], 0, 0
        for row in queryset.defer(None).order_by("created_at"):
            try:
                act.work(row)
            except WrongStatusError:
                refused += 1
            except LangGraphRunsError as error:
                self.message_user(request, f"{str(row.pk)[:8]}: {type(error).__name__}: {error}", messages.ERROR)
                if isinstance(error, APIConnectionError):
                    break  # the server is away for the other rows too
            else:
                done += 1
                self.log_change(request, row, f"{act.label}.")
        if done:
            text = ngettext("%d run was %s.", "%d runs were %s.", done) % (done, act.done)
            self.message_user(request, text, messages.SUCCESS)
        if refused:
            text = ngettext("%d run was left out: %s", "%d runs were left out: %s", refused)
            self.message_user(request, text % (refused, "its status does not allow this."), messages.WARNING)


def _link(kind: ContentType, object_id: str, text: str) -> str:
    try:
        url = reverse(f"admin:{kind.app_label}_{kind.model}_change", args=[object_id])
    except NoReverseMatch:
        return text
    return format_html('<a href="{}">{}</a>', url, text)


def _as_text(value: Any) -> str:
    """Return JSON, or a text, in a box; cut if it is long."""
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    if len(text) > _SHOWN:
        text = f"{text[:_SHOWN]}\n... ({len(text):,} characters)"
    return format_html('<pre class="agent-run-text">{}</pre>', text)


def _seconds(seconds: float) -> str:
    """Return a duration as text.

    >>> _seconds(2.34), _seconds(125), _seconds(7300)
    ('2.3 s', '2 min 5 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
