"""The HEAR 2021 interface, under the name that users of the benchmark import."""

from crossask.serving.hear import (
    get_scene_embeddings,
    get_timestamp_embeddings,
    load_model,
)

__all__ = ["get_scene_embeddings", "get_timestamp_embeddings", "load_model"]
