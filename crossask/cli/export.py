"""crossask-export: writes a finished run as a SavedModel: waveform and sample rate in, probabilities out.

crossask-export --model_dir=RUNS/cmam_feature_based/fold1/seed0 --out=MODEL
"""

import sys

from absl import flags

from crossask.cli import command
from crossask.errors import CrossaskError

FLAGS = flags.FlagValues()
flags.DEFINE_string("model_dir", "", "The run to export.", flag_values=FLAGS)
flags.DEFINE_string("out", "", "Folder of the SavedModel; must not exist.", flag_values=FLAGS)


def export(values, _rest):
    command.required(values, "model_dir", "out")
    from crossask import runs

    found = runs.find_runs(values.model_dir)
    if len(found) > 1:
        listed = ", ".join(str(run.folder) for run in found[:4])
        raise CrossaskError(f"{values.model_dir} holds {len(found)} runs: {listed}, ...", "Give the folder of one of them.")
    from crossask import export as exporting

    print(f"Wrote {exporting.export_run(found[0], values.out)}")


def main(argv=None) -> int:
    return command.run(__doc__, FLAGS, export, argv)


if __name__ == "__main__":
    sys.exit(main())
