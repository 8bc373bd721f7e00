"""The network kind `remote`: another broker's network as an inferior one, over its REST interface."""

from dpb_remote.network import Remote

__all__ = ["Remote"]
