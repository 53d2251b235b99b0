"""The speed of crossask beside its peers: the harness, and crossask's side of each measurement.

`python benchmarks/bench.py` runs it. The modules of peers are in the folder `peers`, which another
environment runs (peers.txt).
"""
