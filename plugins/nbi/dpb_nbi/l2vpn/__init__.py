"""RFC 8466 (L2SM) over RESTCONF: VPNs that are put together one site network access at a time."""
