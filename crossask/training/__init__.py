"""Training, prediction and evaluation of runs. TensorFlow is imported with the first name used."""

from crossask import lazy

_RUN = ("Options", "compile_model", "prediction_batch_size", "train", "training_data")
_EVALUATE = (
    "evaluate_run",
    "evaluate_swapped",
    "predict",
    "predict_training_clips",
    "reads_two_inputs",
)

__all__ = ["MacroAccuracy", *_RUN, *_EVALUATE]
__getattr__, __dir__ = lazy.attach(
    __name__,
    {
        "MacroAccuracy": "crossask.training.metrics",
        **dict.fromkeys(_RUN, "crossask.training.run"),
        **dict.fromkeys(_EVALUATE, "crossask.training.evaluate"),
    },
)
