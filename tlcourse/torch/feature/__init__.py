"""Feature transfer: use what a net has learned to see.

The map
-------
``probing``      the linear probe: a linear head on frozen features
``cache``        frozen features, computed once and kept on disk
``fingerprint``  what a net computes, as a hash: the cache's key
``layerwise``    what each layer of a net puts out
``adaptation``   bring the features of two domains together: Deep CORAL, DAN, DANN, MCC, AdaBN
``source_free``  adapt a trained net to target inputs alone: SHOT-IM; at test time: TENT
``unlabelled``   what a net can learn from target inputs, as losses
``diagnostics``  is the adaptation working?
``pretext``      learn features without labels: autoencoder, clusters
"""
