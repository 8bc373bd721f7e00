"""An emulator of the Corsa DP2000 management API: a program of its own, which imports nothing of the broker's.

What the switch holds is a frozen value (`values`); each call is a pure function from one value to the next (`bridges`,
`tunnels`); the rest carries it over HTTPS, keeps it in a file, and, where wanted, makes it true in Open vSwitch.
"""

__version__ = "0.1.0"
