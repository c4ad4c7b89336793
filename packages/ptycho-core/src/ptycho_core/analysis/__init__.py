"""Properties of scans, and the quality of results."""
