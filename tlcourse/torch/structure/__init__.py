"""Structure transfer: take over an architecture, whole or in part.

The map
-------
``copying``       the first k layers, a fresh copy, a cut net
``net2net``       wider or deeper nets that compute the same
``pruning``       smaller nets: masks by magnitude
``distillation``  a student learns from a teacher's predictions
``multitask``     one trunk, a head for each task
"""
