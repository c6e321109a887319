"""The demo: a small graph that needs no model key (``graph.py``, run by the server) and a tour of it (``tour.py``)."""
