"""The first probe of a scan that has none: from its patterns, a file or optics."""
