"""Hard targets: rare classes, wrong labels, and data that drift.

The map
-------
``losses``  class weights, logit adjustment, small loss
``drift``   follow a stream: recalibrate, retrain, replay
"""
