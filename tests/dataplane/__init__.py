"""The whole on a real data plane. A package, so that laboratories end with the last test in it."""
