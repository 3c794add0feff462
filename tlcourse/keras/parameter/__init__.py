"""Parameter transfer: take over a net's numbers, and choose which of them learn, and how fast.

The map
-------
``layers``  a net as a list of layers: copy, rates, unfreezing, L2-SP
"""
