"""crossask-export: writes a finished run as a SavedModel or a LiteRT file: waveform in, probabilities out.

crossask-export --model_dir=RUNS/cmam_feature_based/fold1/seed0 --out=MODEL
crossask-export --model_dir=RUNS/fa/fold1/seed0 --out=MODEL.tflite --format=litert --precision=int8 --calibration=RECORDINGS
"""

import sys

from absl import flags

from crossask.cli import command
from crossask.errors import CrossaskError

FLAGS = flags.FlagValues()
flags.DEFINE_string("model_dir", "", "The run to export.", flag_values=FLAGS)
flags.DEFINE_string(
    "out",
    "",
    "Folder of the SavedModel, or the LiteRT file, ending in .tflite; must not exist.",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "format",
    "saved_model",
    "saved_model | litert (one file for devices, for clips at one rate).",
    flag_values=FLAGS,
)
flags.DEFINE_string("precision", "float32", "LiteRT: float32 | float16 | int8.", flag_values=FLAGS)
flags.DEFINE_string(
    "calibration",
    "",
    "LiteRT at int8: folder of sound files, or a CSV with their column filename.",
    flag_values=FLAGS,
)

# DCASE's task 1, low-complexity acoustic scene classification
MOST_PARAMETERS = 128_000  # 2022, at int8
MOST_PARAMETER_BYTES = 128_000  # 2024 and 2025
MOST_MULTIPLY_ACCUMULATES = 30_000_000  # all of these years
WEIGHT_BYTES = {"float32": 4, "float16": 2, "int8": 1}


def export(values, _rest):
    command.required(values, "model_dir", "out")
    if values.format not in ("saved_model", "litert"):
        raise CrossaskError(f"--format is {values.format!r}.", "Use saved_model or litert.")
    for name in ("precision", "calibration"):
        if values.format == "saved_model" and values[name].present:
            raise CrossaskError(
                f"--{name} belongs to LiteRT files.", f"Add --format=litert, or leave --{name} out."
            )
    from crossask.training import run_folder

    found = run_folder.find_runs(values.model_dir)
    if len(found) > 1:
        listed = ", ".join(str(run.folder) for run in found[:4])
        raise CrossaskError(
            f"{values.model_dir} holds {len(found)} runs: {listed}, ...",
            "Give the folder of one of them.",
        )
    from crossask import serving

    if values.format == "saved_model":
        print(f"Wrote {serving.export_run(found[0], values.out)}")
        return
    card = serving.export_litert(found[0], values.out, values.precision, values.calibration)
    print(f"Wrote {values.out}")
    from crossask.training import network_size

    print("\n".join(told(card, network_size.row_size(found[0].experiment(), len(card["scenes"])))))


def told(card: dict, size) -> list[str]:
    """Lines on a LiteRT file: its agreement with the run, and its size beside DCASE's limits."""
    agreement, precision = card["agreement"], card["precision"]
    macs = size.scene.multiply_accumulates + (size.event.multiply_accumulates if size.event else 0)
    weights = card["parameters"] * WEIGHT_BYTES[precision]
    few = f"at most {MOST_PARAMETERS:,} at int8"
    if precision != "int8" and card["parameters"] <= MOST_PARAMETERS:
        few += f", and this is {precision}"
    return [
        f"Against the run's model, on {agreement['clips']} clips ({agreement['on']}): the same top scene for"
        f" {agreement['same_top_scene']:.1%}, probabilities differ by {agreement['mean_difference']:.1e} in the mean,"
        f" {agreement['largest_difference']:.1e} at most.",
        f"Parameters: {card['parameters']:,}; DCASE 2022: {few}: "
        + _within(card["parameters"] <= MOST_PARAMETERS and precision == "int8"),
        f"Memory of the parameters: {weights / 1000:,.1f} kB; DCASE 2024 and 2025: at most {MOST_PARAMETER_BYTES // 1000} kB: "
        + _within(weights <= MOST_PARAMETER_BYTES),
        f"Multiply-accumulates of the network: {macs / 1e6:,.1f} M for a clip of {card['clip_seconds']:g} s; DCASE since 2022: at most"
        f" {MOST_MULTIPLY_ACCUMULATES // 10**6} M: " + _within(macs <= MOST_MULTIPLY_ACCUMULATES),
        f"Peak memory of activations: {card['peak_activation_bytes'] / 1e6:,.2f} MB, of the network after its front-end"
        f" {card['peak_activation_bytes_of_network'] / 1e6:,.2f} MB; estimated: the largest sum of tensors alive at one operator.",
        f"File: {card['file_bytes'] / 1000:,.1f} kB, with the front-end's tables.",
    ]


def _within(holds: bool) -> str:
    return "within." if holds else "not within."


def main(argv=None) -> int:
    return command.run(__doc__, FLAGS, export, argv)


if __name__ == "__main__":
    sys.exit(main())
