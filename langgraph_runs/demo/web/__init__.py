"""The chat of ``langgraph-runs demo --web``: a small Django project to read and to copy from.

``views.py`` has the views, which use `langgraph_runs.django`. ``templates/chat.html`` is the page, with its style and script; it
loads nothing from other hosts. ``graph.py`` is run by the LangGraph server. ``serving.py`` starts the server and the site.
"""
