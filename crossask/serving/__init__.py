"""Exports finished runs, and predicts with exported models. TensorFlow is imported on first use."""

from crossask import lazy

_RESULTS = ("Embeddings", "Explanation", "Prediction", "Segment")
_GRAPH = ("ModelParts", "ServedModel")
_SAVED_MODEL = ("export_run", "served_model")
_WARM_UP = ("WARM_UP", "can_write_warm_up", "write_warm_up")
_LITERT = ("PRECISIONS", "export_litert")
_STARTER = ("starter_experiment", "starter_facts", "starter_model")
__all__ = [*_STARTER, "Classifier", *_RESULTS, *_GRAPH, *_SAVED_MODEL, *_WARM_UP, *_LITERT]
__getattr__, __dir__ = lazy.attach(
    __name__,
    {
        "Classifier": "crossask.serving.classifier",
        **dict.fromkeys(_RESULTS, "crossask.serving.results"),
        **dict.fromkeys(_GRAPH, "crossask.serving.graph"),
        **dict.fromkeys(_SAVED_MODEL, "crossask.serving.saved_model"),
        **dict.fromkeys(_WARM_UP, "crossask.serving.warm_up"),
        **dict.fromkeys(_LITERT, "crossask.serving.litert"),
        **dict.fromkeys(_STARTER, "crossask.serving.starter"),
    },
)
