"""How the progress of a run is shown, on a terminal, in a notebook and in a log."""
