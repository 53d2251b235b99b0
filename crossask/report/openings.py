"""Which fields of a configuration the paper states and which it leaves open, as literal data: field, why, for which systems."""

import dataclasses

from crossask.config import AugmentationConfig
from crossask.report.published import PAPERS_OWN, WITH_EVENTS


@dataclasses.dataclass(frozen=True)
class Opening:
    """A choice that the paper does not settle; `field` is its place in a run's experiment."""

    field: str
    why: str
    systems: tuple[str, ...] = PAPERS_OWN


OPEN = (
    Opening(
        "features.sample_rate_hz",
        "No rate is given; the corpora are of 48 kHz (TAU) and 44.1 kHz (TUT).",
    ),
    Opening(
        "features.mono",
        "“T x 64 x 2” is read as two channels of sound; it may mean log-mel and its slope.",
    ),
    Opening(
        "features.max_padding_seconds", "What becomes of a clip that is a little short is not said."
    ),
    Opening(
        "features.max_cut_seconds", "What becomes of a clip that is a little long is not said."
    ),
    Opening(
        "features.log_mel.hop_seconds",
        "“25 ms segments with 10 ms overlap” is read as a hop of 10 ms; word by word it is 15 ms.",
    ),
    Opening("features.log_mel.window", "The window function is not named."),
    Opening(
        "features.log_mel.centred",
        "Whether frames are padded at the clip's ends is not said: T is not given.",
    ),
    Opening("features.log_mel.fft_size", "The size of the Fourier transform is not given."),
    Opening("features.log_mel.mel_scale", "The mel scale is not named."),
    Opening("features.log_mel.min_hz", "The lowest frequency is not given."),
    Opening("features.log_mel.max_hz", "The highest frequency is not given."),
    Opening("features.log_mel.spectrum", "Power or magnitude is not said (“log-mel energies”)."),
    Opening("features.log_mel.log_offset", "What keeps the logarithm finite is not given."),
    Opening(
        "event_model.embedding_tap",
        "Before or after a last ReLU: VGGish's published forms differ.",
        WITH_EVENTS,
    ),
    Opening(
        "event_model.pca",
        "VGGish's PCA and quantisation of embeddings are not mentioned.",
        WITH_EVENTS,
    ),
    Opening(
        "event_model.activation",
        "YAMNet's published forms differ in it (ReLU, ReLU6).",
        WITH_EVENTS,
    ),
    Opening(
        "model.vem_pools",
        "Table 2's four poolings of 2 x 2 leave nothing of ten embeddings.",
        ("VEM",),
    ),
    Opening(
        "model.event_width",
        "Embeddings wider than VGGish's 128 are narrowed first; the paper knows VGGish alone.",
        ("VEM", "JRM"),
    ),
    Opening(
        "model.standardise_embedding",
        "Whether embeddings are scaled before they are used is not said.",
        WITH_EVENTS,
    ),
    Opening("model.batch_norm_momentum", "Batch normalisation is not mentioned."),
    Opening("model.batch_norm_epsilon", "Batch normalisation is not mentioned."),
    Opening("model.pooling_activation", "The non-linearity of the attention pooling is not given."),
    Opening(
        "model.pooling_penalty", "The redundancy penalty of the cited pooling is not mentioned."
    ),
    Opening(
        "model.attention_scale",
        "Equation 4's d, “the dimension of queries”, may be a head's 256 or all heads' 2048.",
        ("CMAM",),
    ),
    Opening("model.attention_dropout", "Equation 6 has a dropout without its rate.", ("CMAM",)),
    Opening("model.layer_norm_epsilon", "Not given.", ("CMAM",)),
    Opening(
        "model.both_channel_orders",
        "How a clip is heard in use is not said; once, as it is.",
        ("FA", "JRM", "CMAM"),
    ),
    Opening(
        "model.cross_attention",
        "Which side asks in the second attention: the text and the figure do not settle it.",
        ("CMAM",),
    ),
    Opening("training.epochs", "The number of epochs is not given."),
    Opening("training.batch_size", "The batch size is not given."),
    Opening(
        "training.learning_rate", "Adam's rate is not given; one rate for the whole network is."
    ),
    Opening(
        "training.validation_share",
        "No validation part is mentioned; the evaluation fold must not choose.",
    ),
    Opening("training.validation_seed", "No validation part is mentioned."),
    Opening(
        "training.statistics_over",
        "Over which clips features are standardised, if at all, is not said.",
    ),
    Opening(
        "training.context_frames",
        "Whether a network sees whole clips or a few frames is not said; T suggests whole clips.",
    ),
    Opening("training.keep", "Which epoch is kept is not said."),
    Opening("training.keep_from", "From which epoch on one may be kept is not said."),
    Opening("training.monitor", "By what an epoch is chosen is not said."),
    Opening("training.patience", "Early stopping is not mentioned."),
    Opening("training.patience_from", "Early stopping is not mentioned."),
    Opening("training.schedule", "Whether the learning rate changes over the epochs is not said."),
    Opening(
        "training.warmup_epochs", "Whether the learning rate changes over the epochs is not said."
    ),
    Opening(
        "training.restart_epochs", "Whether the learning rate changes over the epochs is not said."
    ),
    Opening("training.precision", "The precision of the arithmetic is not mentioned."),
    Opening("training.shuffle_buffer", "Shuffling is not mentioned."),
    Opening("training.input_streams", "Shuffling is not mentioned."),
    *(
        Opening(f"training.{field}", "Averaging of weights is not mentioned.")
        for field in ("average_decay", "average_every", "average_from")
    ),
    *(
        Opening(f"augmentation.{field.name}", "Augmentation is not mentioned.")
        for field in dataclasses.fields(AugmentationConfig)
    ),
)

# what Table 2 states: (field, value as JSON gives it back, systems). A row that departs from it is not the paper's row
STATED = (
    ("features.clip_seconds", 10.0, PAPERS_OWN),
    ("features.log_mel.window_seconds", 0.025, PAPERS_OWN),
    ("features.log_mel.hop_seconds", 0.01, PAPERS_OWN),
    ("features.log_mel.mel_bins", 64, PAPERS_OWN),
    ("event_model.name", "vggish", WITH_EVENTS),
    ("event_model.width", 1.0, WITH_EVENTS),
    ("event_model.pad_end", False, WITH_EVENTS),
    ("event_control", "", WITH_EVENTS),
    ("distillation.teacher", "", PAPERS_OWN),
    ("model.encoder", "conv", ("FA", "JRM", "CMAM")),
    ("model.split_band", False, ("FA", "JRM", "CMAM")),
    ("model.deltas", False, ("FA", "JRM", "CMAM")),
    ("model.encoder_channels", [64, 128, 256, 512], PAPERS_OWN),
    ("model.encoder_pools", [[2, 2], [2, 2], [2, 2], [2, 2]], ("FA", "JRM", "CMAM")),
    ("model.event_encoder_channels", [64, 128, 256, 512, 1024, 1024, 2048], ("JRM",)),
    (
        "model.event_encoder_pools",
        [[2, 2], [2, 2], [1, 2], [1, 2], [1, 2], [1, 2], [1, 2]],
        ("JRM",),
    ),
    ("model.pooling_heads", 4, PAPERS_OWN),
    ("model.pooling_dim", 1024, PAPERS_OWN),
    ("model.attention_heads", 8, ("CMAM",)),
    ("model.attention_dim", 2048, ("CMAM",)),
    ("fine_tuning.event_rate", 1.0, WITH_EVENTS),
    ("fine_tuning.layer_decay", 1.0, WITH_EVENTS),
    ("fine_tuning.probe_epochs", 0, WITH_EVENTS),
    ("fine_tuning.unfreeze_epochs", 0, WITH_EVENTS),
    ("fine_tuning.l2_to_start", 0.0, WITH_EVENTS),
)
