"""The teacher's board: what a room predicted, who passed which exercise, and who needs a visit.

``room`` is the model, ``journal`` keeps it across a restart, ``server`` shows it. A participant has
a ``seat``, and a ``sender`` that takes their part to the board."""
