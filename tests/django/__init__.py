"""Tests of `langgraph_runs.django`, with a small project: settings.py, urls.py, views.py, wsgi.py."""
