"""On MySQL and MariaDB, the columns of text store every character, and keys and ids are equal only if all their characters are.

On other databases nothing changes.
"""

from typing import Any

from django.db import migrations, models

from ..text_fields import AnyCharField, AnyTextField, ExactCharField

__all__ = ["Migration"]


class AlterCollation(migrations.AlterField):
    """Alter a column where its collation changes. SQLite would copy the whole table for nothing."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """See Django."""
        if schema_editor.connection.vendor == "mysql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)


def _altered(name: str, field: "models.Field[Any, Any]") -> AlterCollation:
    return AlterCollation(model_name="agentrun", name=name, field=field)


class Migration(migrations.Migration):
    """Alter the columns."""

    dependencies = [("langgraph_agent_runs", "0001_initial")]

    operations = [
        _altered("key", ExactCharField(blank=True, max_length=255, null=True, unique=True)),
        _altered("object_id", ExactCharField(blank=True, max_length=255, null=True)),
        _altered("server", ExactCharField(default="default", max_length=100)),
        _altered("thread_id", ExactCharField(blank=True, db_index=True, max_length=255)),
        _altered("run_id", ExactCharField(blank=True, db_index=True, max_length=255)),
        _altered("assistant", AnyCharField(max_length=255)),
        _altered("error", AnyCharField(blank=True, max_length=255)),
        _altered("message", AnyTextField(blank=True)),
    ]
