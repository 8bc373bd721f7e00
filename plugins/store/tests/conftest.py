from dpb_store.testing import postgres_urls

__all__ = ["postgres_urls"]
