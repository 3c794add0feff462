"""Feature transfer: use what a net has learned to see.

The map
-------
``probing``      the linear probe: a linear head on frozen features
``cache``        frozen features, computed once and kept on disk
``fingerprint``  what a net computes, as a hash: the cache's key
``layerwise``    what each layer of a net puts out
``adaptation``   bring the features of two domains together: Deep CORAL, DAN, DANN, AdaBN
``diagnostics``  is the adaptation working?
``pretext``      learn features without labels: autoencoder, clusters
"""
