"""From the files of an instrument to a scan: what `ptycho prepare` does."""
