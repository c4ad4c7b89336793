"""Reports on runs: pages of HTML that hold everything, for people."""
