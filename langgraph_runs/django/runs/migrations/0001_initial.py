"""The first version of the table."""

import uuid

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

__all__ = ["Migration"]


class Migration(migrations.Migration):
    """Create the table."""

    initial = True

    dependencies = [
        ("contenttypes", "0002_remove_content_type_name"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="AgentRun",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("key", models.CharField(blank=True, max_length=255, null=True, unique=True)),
                ("object_id", models.CharField(blank=True, max_length=255, null=True)),
                ("server", models.CharField(default="default", max_length=100)),
                ("assistant", models.CharField(max_length=255)),
                ("input", models.JSONField(blank=True, null=True)),
                ("options", models.JSONField(blank=True, default=dict)),
                ("answer", models.JSONField(blank=True, null=True)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("queued", "queued"),
                            ("started", "started"),
                            ("paused", "paused"),
                            ("succeeded", "succeeded"),
                            ("failed", "failed"),
                            ("cancelled", "cancelled"),
                            ("timed_out", "timed out"),
                            ("lost", "lost"),
                        ],
                        default="queued",
                        max_length=20,
                    ),
                ),
                ("thread_id", models.CharField(blank=True, db_index=True, max_length=255)),
                ("run_id", models.CharField(blank=True, db_index=True, max_length=255)),
                ("values", models.JSONField(blank=True, null=True)),
                ("error", models.CharField(blank=True, max_length=255)),
                ("message", models.TextField(blank=True)),
                ("questions", models.JSONField(blank=True, null=True)),
                ("attempts", models.PositiveIntegerField(default=1)),
                ("run_number", models.PositiveIntegerField(default=0, editable=False)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("changed_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("checked_at", models.DateTimeField(blank=True, null=True)),
                ("missing_since", models.DateTimeField(blank=True, null=True)),
                ("cancel_requested_at", models.DateTimeField(blank=True, null=True)),
                ("claimed_until", models.DateTimeField(blank=True, null=True)),
                ("unreported", models.BooleanField(default=False, editable=False)),
                ("earlier_run_ids", models.JSONField(blank=True, editable=False, null=True)),
                ("own_thread_ids", models.JSONField(blank=True, editable=False, null=True)),
                (
                    "content_type",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="contenttypes.contenttype",
                    ),
                ),
                (
                    "owner",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="agent_runs",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "agent run",
                "ordering": ("-created_at", "-id"),
                "permissions": [("cancel_agentrun", "Can cancel agent runs"), ("retry_agentrun", "Can retry agent runs")],
                "indexes": [
                    models.Index(fields=["status", "changed_at"], name="agent_run_status"),
                    models.Index(fields=["owner", "created_at"], name="agent_run_owner"),
                    models.Index(fields=["content_type", "object_id"], name="agent_run_about"),
                    models.Index(fields=["created_at"], name="agent_run_created"),
                ],
            },
        ),
    ]
