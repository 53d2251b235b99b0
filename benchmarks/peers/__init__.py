"""The peers' side of the measurements; the environment of peers.txt runs it, without TensorFlow."""
