"""crossask-predict: names the scenes of recordings with an exported model.

crossask-predict --model=MODEL SOURCE...     SOURCE: a sound file, a folder, a pattern, or - for one through a pipe
crossask-predict --model=MODEL --format=csv --out=TABLE.csv FOLDER    goes on where it was stopped
crossask-predict --model=MODEL --timeline LONG.wav                    the scene over time
crossask-predict --model=MODEL --format=audacity --out=LABELS FOLDER  the same as label tracks
crossask-predict --model=MODEL --watch FOLDER                         answers what is put there, until stopped
arecord -t raw -f S16_LE -r 48000 -c 2 | crossask-predict --model=MODEL --stream --rate=48000 --channels=2

Formats: text, csv, json (lines), audacity (labels), dcase2019 and dcase2024 (the challenge's submissions).
"""

import contextlib
import json
import os
import sys

from absl import flags

from crossask.cli import command
from crossask.errors import AudioError, CrossaskError, Preempted
from crossask.serving import answers

FLAGS = flags.FlagValues()
flags.DEFINE_string(
    "model", "", "Folder of a SavedModel written by crossask-export.", flag_values=FLAGS
)
flags.DEFINE_enum("format", "text", answers.FORMATS, "How answers are written.", flag_values=FLAGS)
flags.DEFINE_bool(
    "timeline",
    False,
    "Tell the windows of each recording instead of their mean.",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "out",
    "",
    "Table to add the answers to, or, of timelines, the folder of one file a recording; what is there is not heard again.",
    flag_values=FLAGS,
)
flags.DEFINE_float(
    "hop",
    None,
    "Seconds between windows of a long recording; default: half of a window.",
    flag_values=FLAGS,
)
flags.DEFINE_integer("top", 3, "Scenes to print as text.", lower_bound=1, flag_values=FLAGS)
flags.DEFINE_bool(
    "watch", False, "Answer what is put into a folder, until stopped.", flag_values=FLAGS
)
flags.DEFINE_bool(
    "stream",
    False,
    "Read raw 16-bit samples from standard input; a line a second.",
    flag_values=FLAGS,
)
flags.DEFINE_integer("rate", 48000, "Sample rate of --stream in Hz.", flag_values=FLAGS)
flags.DEFINE_integer(
    "channels", 2, "Channels of --stream.", lower_bound=1, upper_bound=2, flag_values=FLAGS
)


def predict(values, words):
    command.required(values, "model")
    if not words and not values.stream:
        raise CrossaskError(
            "No recording is given.",
            "Name one or more: crossask-predict --model=MODEL FILE_OR_FOLDER...",
        )
    over_time = values.timeline or values.format == "audacity"
    if over_time and values.format not in answers.TIMELINES:
        raise CrossaskError(
            f"--timeline has no format {values.format}.",
            f"Use one of: {', '.join(answers.TIMELINES)}.",
        )
    if values.stream and (
        words or values.watch or values.out or over_time or values.format not in ("text", "json")
    ):
        raise CrossaskError(
            "--stream goes with --format=text or json alone.",
            "Leave out files, --watch, --out and --timeline.",
        )
    if values.watch and len(words) != 1:
        raise CrossaskError(f"--watch is given {len(words)} folders.", "Give one.")
    from crossask.serving import Classifier, sources

    found = (
        []
        if values.stream or values.watch or words == [sources.STANDARD_INPUT]
        else sources.find(words)
    )
    classifier = Classifier(values.model, values.hop)
    writer = None if values.stream else _Writer(values, classifier, over_time)
    if values.stream or values.watch:
        with contextlib.suppress(KeyboardInterrupt, Preempted):  # how these end
            if values.stream:
                _stream(values, classifier, sources)
            else:
                for ready in sources.watch(words[0]):
                    writer.answer(ready, shows_progress=False)
        return 0
    with contextlib.ExitStack() as stack:
        if not found:
            found = [stack.enter_context(sources.standard_input())]
        writer.answer(found, shows_progress=bool(values.out) or sys.stderr.isatty())
    if writer.failed:
        print(f"{writer.failed} of {len(found)} files could not be used.", file=sys.stderr)
    return command.failure(writer.failed, len(found))


def _stream(values, classifier, sources):
    classifier.check_rate(values.rate, "The stream")
    for seconds, waveform in sources.pcm_stream(
        values.rate, values.channels, classifier.clip_seconds
    ):
        if len(waveform) < classifier.card["least_seconds"] * values.rate:
            continue
        answer = classifier.predict(waveform, values.rate)
        if values.format == "json":
            line = json.dumps(
                {"seconds": seconds, "scene": answer.scene, "probabilities": answer.probabilities}
            )
        else:
            line = f"{answers.clock(seconds)} {answers.in_words(answer, values.top)}"
        print(line, flush=True)


class _Writer:
    """Answers recordings to standard output, a table or a folder of timelines."""

    def __init__(self, values, classifier, over_time: bool):
        self.values, self.classifier, self.over_time, self.failed = values, classifier, over_time, 0
        self.rates_told, self.table = set(), None
        if values.out and not over_time:
            self.table = answers.Table(values.out, values.format, classifier.scenes)
        elif not values.out:
            sys.stdout.write(answers.header(values.format, classifier.scenes, over_time))

    def answer(self, found, shows_progress: bool):
        left = [source for source in found if not self._answered(source)]
        if self.values.out and self.over_time:
            self._check_names(left)
        elif self.values.format == "audacity" and len(left) > 1:
            raise CrossaskError(
                f"Labels of {len(left)} recordings would be one track.",
                "Give --out=FOLDER: a file for each.",
            )
        if len(left) < len(found):
            command.LOG.info(
                "%d of %d recordings were answered before.", len(found) - len(left), len(found)
            )
        progress = _Progress(left) if shows_progress and left else None
        answers = self.classifier.predict_each(left, heard=progress and progress.heard)
        for source, answer in zip(left, answers, strict=True):
            if isinstance(answer, AudioError):
                self.failed += 1
                command.complain(answer.problem, answer.fix)
            else:
                self._write(source, answer)
            if progress:
                progress.finished(source)

    def _write(self, source, answer):
        self._warn(answer)
        if self.table:
            self.table.add(answer, self.values.top)
        elif self.values.out:
            from crossask import files

            path = self._timeline_path(source)
            first = answers.header(self.values.format, self.classifier.scenes, True)
            try:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with files.writing(path) as temporary:
                    temporary.write_text(
                        first + answers.timeline(answer, self.values.format, self.values.top),
                        encoding="utf-8",
                    )
            except OSError as error:
                raise CrossaskError(
                    f"{path} cannot be written ({error.strerror}).",
                    "Give --out a folder that can be written.",
                ) from error
        else:
            text = answers.timeline if self.over_time else answers.row
            sys.stdout.write(text(answer, self.values.format, self.values.top))
            sys.stdout.flush()

    def _warn(self, answer):
        rate, trained = answer.sample_rate_hz, self.classifier.card["sample_rate_hz"]
        if rate < trained and rate not in self.rates_told:
            self.rates_told.add(rate)
            command.LOG.warning(
                "%s has a sample rate of %d Hz, the model was trained at %d Hz: it misses all sound above %d Hz, and may err for that.",
                answer.source,
                rate,
                trained,
                rate // 2,
            )

    def _answered(self, source) -> bool:
        if self.table:
            return self.table.knows(source)
        return bool(self.values.out) and os.path.isfile(self._timeline_path(source))

    def _timeline_path(self, source) -> str:
        return os.path.join(
            self.values.out, os.path.splitext(source.name)[0] + answers.SUFFIX[self.values.format]
        )

    def _check_names(self, found):
        taken = {}
        for source in found:
            other = taken.setdefault(self._timeline_path(source), source)
            if other is not source:
                raise CrossaskError(
                    f"{other} and {source} would both be written to {self._timeline_path(source)}.",
                    "Hear their folders one by one, each with an --out of its own.",
                )


class _Progress:
    """A bar of seconds of sound, with the time left."""

    def __init__(self, found):
        self.lengths = {str(source): source.seconds for source in found}
        self.done, self.total, self.bar = (
            0.0,
            sum(self.lengths.values()),
            command.progress_bar("hear", "s"),
        )

    def heard(self, source, seconds: float):
        self._show(self.done + min(seconds, self.lengths[str(source)]))

    def finished(self, source):
        self.done += self.lengths[str(source)]
        self._show(self.done)

    def _show(self, seconds: float):
        self.bar(round(seconds), max(1, round(self.total)))


def main(argv=None) -> int:
    return command.run(__doc__, FLAGS, predict, argv)


if __name__ == "__main__":
    sys.exit(main())
