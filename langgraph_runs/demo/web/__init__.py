"""The chat of ``langgraph-runs demo --web``: a Django project on the sample server, small enough to read and to copy from.

``views.py`` is the part to copy: six views on `langgraph_runs.django`. ``templates/chat.html`` is the page, whole: style and
script are in it, and it loads nothing from elsewhere. ``graph.py`` runs on the LangGraph server; ``serving.py`` starts it all.
"""
