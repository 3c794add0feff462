"""Feature transfer: use what a net has learned to see.

The map
-------
``probing``  the linear probe: a linear head on frozen features
"""
