"""The tuple slicer: an OpenFlow 1.3 controller application that joins circuits into layer-2 slices.

It imports nothing of the broker's; the broker's adaptor speaks to it over REST. What it wants of a switch is a pure
function of the slices (`pipeline`), what it sends is the difference to what is there (`difference`).
"""

__version__ = "0.1.0"
