"""crossask-predict: names the scenes of sound files with an exported model.

crossask-predict --model=MODEL FILE...          the top scenes of each file
crossask-predict --model=MODEL --json FILE...   one JSON object a line
crossask-predict --model=MODEL --csv FILE...    one table: file, scene, a probability column a scene
"""

import csv
import json
import sys

from absl import flags

from crossask.cli import command
from crossask.errors import AudioError, CrossaskError

FLAGS = flags.FlagValues()
flags.DEFINE_string("model", "", "Folder of a SavedModel written by crossask-export.", flag_values=FLAGS)
flags.DEFINE_integer("top", 3, "Scenes to print.", lower_bound=1, flag_values=FLAGS)
flags.DEFINE_bool("json", False, "Print JSON lines.", flag_values=FLAGS)
flags.DEFINE_bool("csv", False, "Print CSV.", flag_values=FLAGS)


def predict(values, files):
    command.required(values, "model")
    if not files:
        raise CrossaskError("No sound file is given.", "Name one or more: crossask-predict --model=MODEL FILE...")
    if values.json and values.csv:
        raise CrossaskError("Both --json and --csv are given.", "Give one of them.")
    from crossask.prediction import Classifier

    classifier = Classifier(values.model)
    table = csv.writer(sys.stdout, lineterminator="\n") if values.csv else None
    if table:
        table.writerow(["file", "scene", *classifier.scenes])
    failed = 0
    for answer in classifier.predict_each(files):
        if isinstance(answer, AudioError):
            failed += 1
            command.complain(answer.problem, answer.fix)
            continue
        if table:
            table.writerow([answer.source, answer.scene, *(f"{answer.probabilities[s]:.6f}" for s in classifier.scenes)])
        elif values.json:
            print(json.dumps({"file": answer.source, "scene": answer.scene, "probabilities": answer.probabilities}))
        else:
            print(f"{answer.source}: " + ", ".join(f"{scene} {100 * share:.1f} %" for scene, share in answer.top(values.top)))
    if failed:
        print(f"{failed} of {len(files)} files could not be used.", file=sys.stderr)
    return command.failure(failed, len(files))


def main(argv=None) -> int:
    return command.run(__doc__, FLAGS, predict, argv)


if __name__ == "__main__":
    sys.exit(main())
