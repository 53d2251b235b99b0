"""Cross-task pre-training for acoustic scene classification, after Zhang, Zou and Li (arXiv 1910.09935)."""

__version__ = "0.1.0"
