"""Listeners that are a pattern for others: a quota for each owner (ask), a webhook on changes of state (tell)."""
