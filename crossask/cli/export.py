r"""crossask-export: writes a finished run as a SavedModel or a LiteRT file.

The model takes a waveform and returns a probability for each scene.

crossask-export --model_dir=RUNS/cmam_feature_based/fold1/seed0 --out=MODEL
crossask-export --model_dir=RUNS/fa/fold1/seed0 --out=MODEL.tflite --format=litert
crossask-export --model_dir=RUNS/fa/fold1/seed0 --out=MODEL.tflite --format=litert \
    --precision=int8 --calibration=RECORDINGS
"""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from absl import flags

from crossask import locks
from crossask.cli import command, shared_flags
from crossask.errors import CrossaskError, shortened_list

if TYPE_CHECKING:
    from crossask.training.network_size import RowSize
    from crossask.training.run_folder import Run

FLAGS = flags.FlagValues()
shared_flags.define_wait_flag(FLAGS)
flags.DEFINE_string("model_dir", "", "Folder of the run to export.", flag_values=FLAGS)
flags.DEFINE_string(
    "out",
    "",
    "Folder of the SavedModel, or LiteRT file (ends in .tflite). It must not exist.",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "format",
    "saved_model",
    "saved_model, or litert: one file for small devices, for clips of one length and sample rate.",
    flag_values=FLAGS,
)
flags.DEFINE_string("precision", "float32", "LiteRT: float32 | float16 | int8.", flag_values=FLAGS)
shared_flags.define_weights_flag(FLAGS)
flags.DEFINE_string(
    "calibration",
    "",
    "LiteRT with int8: recordings to calibrate on, a folder or a CSV with a column filename.",
    flag_values=FLAGS,
)

# Limits of DCASE's task 1, low-complexity acoustic scene classification.
MOST_PARAMETERS = 128_000  # 2022, at int8
MOST_PARAMETER_BYTES = 128_000  # 2024 and 2025
MOST_MULTIPLY_ACCUMULATES = 30_000_000  # every year since 2022
WEIGHT_BYTES = {"float32": 4, "float16": 2, "int8": 1}


def export(values: flags.FlagValues, _positional: list[str]) -> None:
    """Exports the run, and prints the properties of a LiteRT file."""
    _check_flags(values)
    run = _find_run(values.model_dir, values.weights)
    with locks.of_path(values.out):
        if values.format == "saved_model":
            _write_saved_model(run, values)
        else:
            _write_litert(run, values)


def _write_saved_model(run: "Run", values: flags.FlagValues) -> None:
    from crossask import serving

    print(f"Wrote {serving.export_run(run, values.out)}")
    if not serving.can_write_warm_up():
        command.LOG.info(
            "No warm-up requests for TensorFlow Serving were written: they need the package "
            "tensorflow-serving-api."
        )


def _write_litert(run: "Run", values: flags.FlagValues) -> None:
    from crossask import serving
    from crossask.training.network_size import row_size

    card = serving.export_litert(run, values.out, values.precision, values.calibration)
    print(f"Wrote {values.out}")
    size = row_size(run.experiment(), len(card["scenes"]))
    print("\n".join(litert_summary(card, size)))


def litert_summary(card: Mapping[str, Any], size: "RowSize") -> list[str]:
    """Returns lines about a LiteRT file: its agreement with the run, its size and DCASE's limits.

    Args:
      card: Model card of the file.
      size: Size of the run's networks.
    """
    parameters = card["parameters"]
    parameter_bytes = parameters * WEIGHT_BYTES[card["precision"]]
    return [
        _agreement_line(card["agreement"]),
        _parameters_line(parameters, card["precision"]),
        f"Memory of the parameters: {parameter_bytes / 1000:,.1f} kB. Limit of DCASE 2024 and "
        f"2025: {MOST_PARAMETER_BYTES // 1000} kB "
        f"({_verdict(parameter_bytes <= MOST_PARAMETER_BYTES)}).",
        _multiply_accumulates_line(size, card["clip_seconds"]),
        "Peak memory of activations, estimated: "
        f"{card['peak_activation_bytes'] / 1e6:,.2f} MB; for the network without its front-end "
        f"{card['peak_activation_bytes_of_network'] / 1e6:,.2f} MB.",
        f"File: {card['file_bytes'] / 1000:,.1f} kB, including the front-end.",
    ]


def _check_flags(values: flags.FlagValues) -> None:
    """Raises CrossaskError for flags that do not fit each other."""
    if values.format not in ("saved_model", "litert"):
        raise CrossaskError(f"--format is {values.format!r}.", "Use saved_model or litert.")
    if values.format == "saved_model":
        of_litert = ("precision", "calibration")
        command.refuse(values, of_litert, "--format=saved_model", ", or set --format=litert")
        if values.out.rstrip("/").endswith(".tflite"):
            # Other commands would take the folder for a LiteRT file.
            raise CrossaskError(
                "--out ends in .tflite, and the format is saved_model.",
                "Add --format=litert, or give the SavedModel another name.",
            )


def _find_run(model_dir: str, weights: str) -> "Run":
    """Returns the only run in a folder, with its event model's weights at `weights`, if given."""
    from crossask.training import run_folder

    runs = run_folder.find_runs(model_dir)
    if len(runs) > 1:
        listed = shortened_list([str(run.folder) for run in runs])
        raise CrossaskError(
            f"{model_dir} contains {len(runs)} runs: {listed}.",
            "Set --model_dir to the folder of one of them.",
        )
    return run_folder.with_weights(runs[0], weights)


def _agreement_line(agreement: Mapping[str, Any]) -> str:
    same_percent = 100 * agreement["same_top_scene"]
    return (
        f"Comparison with the run's model on {agreement['clips']} clips ({agreement['on']}): the "
        f"top scene is the same for {same_percent:.1f} %; probabilities differ by "
        f"{agreement['mean_difference']:.1e} on average and {agreement['largest_difference']:.1e} "
        "at most."
    )


def _parameters_line(parameters: int, precision: str) -> str:
    is_small = parameters <= MOST_PARAMETERS
    verdict = _verdict(is_small and precision == "int8")
    if is_small and precision != "int8":
        verdict += f": the file is {precision}"
    return (
        f"Parameters: {parameters:,}. Limit of DCASE 2022: {MOST_PARAMETERS:,} at int8 ({verdict})."
    )


def _multiply_accumulates_line(size: "RowSize", clip_seconds: float) -> str:
    """Returns the line about multiply-accumulates, beside the limit of DCASE."""
    limit = f"Limit of DCASE since 2022: {MOST_MULTIPLY_ACCUMULATES // 10**6} M"
    macs = size.scene.multiply_accumulates
    if size.event is not None:
        if size.event.multiply_accumulates is None:
            return (
                f"Multiply-accumulates of the scene model: {macs / 1e6:,.1f} M for a clip of "
                f"{clip_seconds:g} s; those of the event model are not counted. {limit}."
            )
        macs += size.event.multiply_accumulates
    return (
        f"Multiply-accumulates of the network: {macs / 1e6:,.1f} M for a clip of "
        f"{clip_seconds:g} s. {limit} ({_verdict(macs <= MOST_MULTIPLY_ACCUMULATES)})."
    )


def _verdict(is_satisfied: bool) -> str:
    return "satisfied" if is_satisfied else "not satisfied"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command.run(__doc__, FLAGS, export, argv, needs=("model_dir", "out"), takes_words=False)


if __name__ == "__main__":
    sys.exit(main())
