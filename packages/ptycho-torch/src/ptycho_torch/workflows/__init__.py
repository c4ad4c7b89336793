"""Complete workflows under the names that applications call."""
