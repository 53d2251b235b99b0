"""The sides that crossask's environment runs: crossask itself, and plain TensorFlow."""
