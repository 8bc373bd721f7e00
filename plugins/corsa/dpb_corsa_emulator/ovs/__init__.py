"""Open vSwitch as what carries the frames: each VFC is a bridge, and a bridge of its own, the backplane, has the ports.

Between the backplane and a VFC there is a pair of patch ports for each tunnel. What a tunnel does (tags, metering,
shaping) are flows and meters of the backplane; a VFC has no flows but its controller's.
"""
