"""Features computed as an Apache Beam pipeline: on one machine, or on Flink, Spark or Dataflow for corpora of millions of clips."""

from crossask.errors import ConfigError
from crossask.feature_cache import ShardWriter, tell_changes


def runner(options: list[str]):
    """What `feature_cache.prepare` takes as `elsewhere`: one element a shard, each written by one worker.

    The folders of recordings and of features, and the event model's weights, must have the same paths on every worker; a
    shard has the same bytes wherever it is written.

    Args:
      options: Beam's own, such as ["--runner=FlinkRunner", "--flink_master=host:8081"]; none: this machine.

    Raises:
      ConfigError: Apache Beam is not installed.
    """
    try:
        import apache_beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise ConfigError("Apache Beam is not installed.", "Install it with: pip install 'crossask[beam]'") from error

    def run(write: ShardWriter, shards: list):
        pipeline = apache_beam.Pipeline(options=PipelineOptions(options))
        # without the reshuffle a runner fuses all shards into one worker's task
        pipeline | apache_beam.Create(shards) | apache_beam.Reshuffle() | apache_beam.Map(_write, write)
        result = pipeline.run()
        result.wait_until_finish()
        counted = {counter.key.metric.name: counter.committed for counter in result.metrics().query()["counters"]}
        tell_changes(counted.get("padded", 0), counted.get("cut", 0), write.experiment)

    return run


def _write(shard, write: ShardWriter):
    from apache_beam.metrics import Metrics

    def count(change: str, broken: str):
        for name in ("clips", *([change] if change else []), *(["broken"] if broken else [])):
            Metrics.counter("crossask", name).inc()

    write(*shard, count)
