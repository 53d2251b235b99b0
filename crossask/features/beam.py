"""Computes features as an Apache Beam pipeline, on this machine or on a cluster."""

import contextlib
import functools
import pickle
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from crossask import files
from crossask.errors import ConfigError, CrossaskError
from crossask.features import beam_worker
from crossask.features.cache import log_changes
from crossask.features.computation import Change
from crossask.features.shards import Shard, ShardWriter

# Name of the folder for temporary files of Beam and its workers.
FOLDER = "crossask-beam"


def pipeline_writer(options: Sequence[str]) -> Callable[[ShardWriter, list[Shard]], None]:
    """Returns a function that writes shards in a Beam pipeline, in parallel.

    It is the argument `elsewhere` of `prepare_features`. The folders of recordings and of features
    and the event model's weights must have the same paths on every worker. A shard has the same
    bytes wherever it is written.

    Args:
      options: Beam's options, for example ["--runner=FlinkRunner", "--flink_master=host:8081"];
        without any, the pipeline runs on this machine.

    Raises:
      ConfigError: Apache Beam is not installed, or rejects the options.
    """
    try:
        import apache_beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise ConfigError(
            "Apache Beam is not installed.", "Install it with: pip install 'crossask[beam]'"
        ) from error
    # Without this option, each worker process logs its start and its end. The user's own options
    # follow, and replace it if they set it, too.
    options = ["--default_sdk_harness_log_level=WARNING", *options]
    try:
        # Only checks the options, before any feature is computed.
        with files.temporary_files_of(FOLDER):
            apache_beam.Pipeline(options=PipelineOptions(options))
    except (ValueError, AttributeError, ImportError) as error:
        raise ConfigError(
            f"Apache Beam rejects --beam_options={' '.join(options)!r} ({error}).",
            "Correct the options, or leave them out to run on this machine.",
        ) from error

    def write_in_pipeline(write: ShardWriter, shards: list[Shard]) -> None:
        # The list of shards may be larger than the few megabytes to which runners limit the graph
        # of a job. It is therefore a file in a folder of features, which all workers can read. Each
        # call uses another name, because a worker caches the list that it has read (`_shards`).
        # While the job runs, the file has its temporary name: if this process is killed, the next
        # `prepare_features` on this machine removes it.
        path = next(iter(write.folders.values())) / f"shards-{uuid.uuid4().hex}"
        with files.temporary_files_of(FOLDER), files.writing(path) as shard_list:
            shard_list.write_bytes(pickle.dumps(shards))
            pipeline = _new_pipeline(PipelineOptions(options))
            numbers = pipeline | apache_beam.Create(range(len(shards)))
            # Without the reshuffle, a runner fuses all shards into one worker's task.
            spread = numbers | apache_beam.Reshuffle()
            spread | apache_beam.Map(_write, write, str(shard_list))
            padded, cut = _run_and_count(pipeline)
            log_changes(padded, cut, write.experiment)
        files.remove(path)

    return write_in_pipeline


def _new_pipeline(
    options: "apache_beam.options.pipeline_options.PipelineOptions",  # noqa: F821
) -> "apache_beam.Pipeline":  # noqa: F821
    """Returns an empty pipeline. Its worker processes on this machine end with this process."""
    import apache_beam
    from apache_beam.transforms.environments import SubprocessSDKEnvironment

    class Pipeline(apache_beam.Pipeline):
        def to_runner_api(
            self, *arguments: Any, default_environment: Any = None, **others: Any
        ) -> Any:
            # Beam's runner on this machine has no option for the command of its workers. It passes
            # the command to this method, which returns the graph.
            if isinstance(default_environment, SubprocessSDKEnvironment):
                command = beam_worker.command_ending_with_this_process(
                    default_environment.command_string
                )
                default_environment = SubprocessSDKEnvironment.from_command_string(command)
            return super().to_runner_api(
                *arguments, default_environment=default_environment, **others
            )

    return Pipeline(options=options)


def _run_and_count(pipeline: "apache_beam.Pipeline") -> tuple[int, int]:  # noqa: F821
    """Runs the pipeline; returns the numbers of clips that were padded and cut."""
    fix = "Run it again; finished shards are kept."
    try:
        result = _finished(pipeline)
    except LostWorker as error:
        raise CrossaskError(f"A worker process of the Beam job died: {error}.", fix) from error
    except RuntimeError as error:
        raise CrossaskError(f"The Beam job failed: {error}", fix) from error
    try:
        found = result.metrics().query()["counters"]
    except NotImplementedError:
        # Some runners, such as Dask's, do not count.
        return 0, 0
    counters = {}
    for counter in found:
        # `result` is the committed value, or the attempted one on runners without it.
        counters[counter.key.metric.name] = counter.result
    return counters.get("padded", 0), counters.get("cut", 0)


class LostWorker(Exception):
    """A worker process on this machine died."""


def _finished(pipeline: "apache_beam.Pipeline") -> Any:  # noqa: F821
    """Runs the pipeline to its end and returns its result.

    Beam's runner on this machine waits for ever for a worker process that died. Its thread that
    notices the death raises an exception, which is caught here.

    Raises:
      LostWorker: A worker process of this machine died.
      RuntimeError: The job failed.
    """
    outcome: dict[str, Any] = {}
    ended = threading.Event()

    def run() -> None:
        try:
            result = pipeline.run()
            result.wait_until_finish()
            outcome["result"] = result
        except BaseException as error:
            outcome["error"] = error
        ended.set()

    def record_death(error: BaseException) -> None:
        outcome.setdefault("error", LostWorker(str(error)))
        ended.set()

    with _deaths_of_workers(record_death):
        # The process can end although a job that lost a worker does not.
        threading.Thread(target=run, daemon=True).start()
        # Python handles no signals while it waits without a limit.
        while not ended.wait(1):
            pass
    if "error" in outcome:
        raise outcome["error"]
    return outcome["result"]


@contextlib.contextmanager
def _deaths_of_workers(on_death: Callable[[BaseException], None]) -> Iterator[None]:
    """Calls `on_death` with the exception that Beam raises when a worker process died."""
    previous_hook = threading.excepthook

    def hook(arguments: threading.ExceptHookArgs) -> None:
        if "Worker subprocess exited" in str(arguments.exc_value):
            on_death(arguments.exc_value)
        else:
            previous_hook(arguments)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = previous_hook


def _write(number: int, write: ShardWriter, shard_list: str) -> None:
    """Writes one shard, on a worker."""
    from apache_beam.metrics import Metrics

    # `problem` is not used: a shard with an unusable file is not written, so `prepare_features`
    # computes it again on its own machine and reports the file.
    def count(change: Change, problem: str) -> None:
        if change:
            Metrics.counter("crossask", change).inc()

    write(_shards(shard_list)[number], count)


@functools.lru_cache(1)
def _shards(shard_list: str) -> list[Shard]:
    """Returns the content of the file that lists the shards, which a worker reads once."""
    return pickle.loads(Path(shard_list).read_bytes())
