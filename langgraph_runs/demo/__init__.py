"""The demo: a small graph that needs no model key (``graph.py``, run by the server), and calls shown on it (``tour.py``)."""
