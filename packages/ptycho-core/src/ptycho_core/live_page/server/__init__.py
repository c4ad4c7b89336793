"""The process that serves the page of a run."""
