"""What runs inside a host's namespace. Nothing here needs more than Python itself, so that a host is there quickly."""
