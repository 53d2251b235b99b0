"""A finished run as a file for others: a SavedModel or a LiteRT model. TensorFlow is imported with the first name used."""

import importlib

_HOMES = {
    "export_run": "saved_model",
    "served_model": "saved_model",
    "write_warm_up": "saved_model",
    "ServedModel": "saved_model",
    "WARM_UP": "saved_model",
    "export_litert": "litert",
    "PRECISIONS": "litert",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(importlib.import_module(f"crossask.export.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
