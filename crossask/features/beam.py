"""Features computed as an Apache Beam pipeline: on one machine, or on the workers of a cluster that share a disk."""

import functools
import pickle
import uuid
from pathlib import Path

from crossask import files
from crossask.errors import ConfigError, CrossaskError
from crossask.features.cache import ShardWriter, tell_changes


def runner(options: list[str]):
    """What `feature_cache.prepare` takes as `elsewhere`: one element a shard, each written by one worker.

    The folders of recordings and of features, and the event model's weights, must have the same paths on every worker; a
    shard has the same bytes wherever it is written.

    Args:
      options: Beam's own, such as ["--runner=FlinkRunner", "--flink_master=host:8081"]; none: this machine.

    Raises:
      ConfigError: Apache Beam is not installed, or refuses the options.
    """
    try:
        import apache_beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise ConfigError(
            "Apache Beam is not installed.", "Install it with: pip install 'crossask[beam]'"
        ) from error
    try:
        apache_beam.Pipeline(options=PipelineOptions(options))
    except (ValueError, AttributeError, ImportError) as error:
        raise ConfigError(
            f"Apache Beam refuses --beam_options={' '.join(options)!r} ({error}).",
            "See its list of runners.",
        ) from error

    def run(write: ShardWriter, shards: list):
        # beside the features, where all workers find it: a job's own graph may hold a few megabytes only
        # and under a name of its own, for workers keep what they have read
        path = next(iter(write.folders.values())) / f"shards-{uuid.uuid4().hex}"
        with files.writing(path) as listed:
            listed.write_bytes(pickle.dumps(shards))
            pipeline = apache_beam.Pipeline(options=PipelineOptions(options))
            # without the reshuffle a runner fuses all shards into one worker's task
            numbers = pipeline | apache_beam.Create(range(len(shards))) | apache_beam.Reshuffle()
            numbers | apache_beam.Map(_write, write, str(listed))
            try:
                result = pipeline.run()
                result.wait_until_finish()
            except RuntimeError as error:
                raise CrossaskError(
                    f"The Beam job failed: {error}",
                    "Run it again; shards that are finished are kept.",
                ) from error
            counted = {
                counter.key.metric.name: counter.committed
                for counter in result.metrics().query()["counters"]
            }
            tell_changes(counted.get("padded", 0), counted.get("cut", 0), write.experiment)
        files.remove(path)

    return run


def _write(number: int, write: ShardWriter, listed: str):
    from apache_beam.metrics import Metrics

    def count(change: str, broken: str):
        if change:
            Metrics.counter("crossask", change).inc()

    write(*_shards(listed)[number], count)


@functools.lru_cache(1)
def _shards(listed: str) -> list:
    return pickle.loads(Path(listed).read_bytes())
