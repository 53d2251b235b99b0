"""The address of `crossask.serving.hear` that users of the HEAR benchmark import."""

from crossask.serving.hear import (
    get_scene_embeddings,
    get_timestamp_embeddings,
    load_model,
)

__all__ = ["get_scene_embeddings", "get_timestamp_embeddings", "load_model"]
