"""The configuration of one row of a results table: every choice with its type, limits and source.

`crossask-fields` prints the fields; reports list the choices that the paper leaves open.
"""

from typing import ClassVar, Literal

import pydantic
from pydantic.dataclasses import dataclass

from crossask.config import catalogue, rules
from crossask.config.settings import (
    ENCODER_SYSTEMS,
    EVENT_SYSTEMS,
    STRICT,
    Integers,
    Label,
    Names,
    Pairs,
    Settings,
    ours,
    paper,
    part,
    required,
)

NO_AUGMENTATION = "Augmentation is not mentioned."
NO_AVERAGING = "Averaging of weights is not mentioned."
NO_BATCH_NORM = "Batch normalisation is not mentioned."
NO_EARLY_STOPPING = "Early stopping is not mentioned."
NO_SCHEDULE = "The paper does not say whether the learning rate changes over the epochs."
NO_SHUFFLING = "Shuffling is not mentioned."
NO_VALIDATION = "No validation part is mentioned."
*_LOWER_RATES, _HIGHEST_RATE = catalogue.SAMPLE_RATES_HZ
SAMPLE_RATES = f"{', '.join(map(str, _LOWER_RATES))} or {_HIGHEST_RATE}"


@dataclass(frozen=True, config=STRICT)
class LogMelConfig(Settings):
    """A log-mel spectrogram: short-time spectrum, mel filter bank, natural logarithm."""

    prefix: ClassVar[str] = "features.log_mel."

    window_seconds: float = paper(0.025, "Length of the analysis window in seconds.", gt=0)
    hop_seconds: float = paper(
        0.010,
        "Seconds from one frame to the next.",
        gt=0,
        open_because="“25 ms segments with 10 ms overlap” is read as a hop of 10 ms; "
        "read literally, the hop is 15 ms.",
    )
    fft_size: int = ours(
        2048,
        "Points of the Fourier transform.",
        ge=1,
        open_because="The size of the Fourier transform is not given.",
    )
    mel_bins: int = paper(64, "Number of mel bands.", ge=1)
    min_hz: float = ours(
        0.0,
        "Lower edge of the lowest mel band.",
        ge=0,
        open_because="The lowest frequency is not given.",
    )
    max_hz: float | None = ours(
        None,
        "Upper edge of the highest mel band; None: half the sample rate.",
        open_because="The highest frequency is not given.",
    )
    spectrum: Literal["power", "magnitude"] = ours(
        "power",
        "Spectrum whose bins are summed in each mel band.",
        open_because="“Log-mel energies” leaves open whether the spectrum is power or magnitude.",
    )
    log_offset: float = ours(
        1e-6,
        "Added to the mel energies before the logarithm.",
        ge=0,
        open_because="The offset that keeps the logarithm finite is not given.",
    )
    mel_scale: Literal["htk", "slaney"] = ours(
        "htk",
        "Mel scale: HTK's with triangles of peak 1, or Slaney's with triangles of equal area "
        "(librosa's default).",
        open_because="The mel scale is not named.",
    )
    window: Literal["hann", "hamming"] = ours(
        "hann", "Window function, periodic.", open_because="The window function is not named."
    )
    centred: bool = ours(
        False,
        "Whether frame t is centred at t * hop and the ends are mirrored (librosa: center=True, "
        'pad_mode="reflect").',
        open_because="The number of frames is not given, so padding at the clip's ends is open.",
    )


@dataclass(frozen=True, config=STRICT)
class FeatureConfig(Settings):
    """The step from a recording to the input of a scene model."""

    prefix: ClassVar[str] = "features."

    sample_rate_hz: int = ours(
        48000,
        f"Sample rate of the scene branch in Hz: {SAMPLE_RATES}. Recordings of other rates are "
        "resampled to it.",
        ge=1,
        open_because="No sample rate is given; TAU 2019 has 48 kHz and TUT 2017 44.1 kHz.",
    )
    clip_seconds: float = paper(10.0, "Length of a clip in seconds.", gt=0)
    max_padding_seconds: float = ours(
        0.1,
        "Clips that are at most this much shorter than clip_seconds are padded with silence; "
        "shorter ones are an error.",
        ge=0,
        open_because="The treatment of clips that are slightly short is not given.",
    )
    max_cut_seconds: float = ours(
        0.1,
        "Clips that are at most this much longer than clip_seconds are cut; longer ones are an "
        "error.",
        ge=0,
        open_because="The treatment of clips that are slightly long is not given.",
    )
    clip_hop_seconds: float | None = paper(
        None,
        "Data set folder: recordings are cut into clips of clip_seconds that start every so many "
        "seconds, and shorter recordings are repeated; None: a recording is one clip.",
        # Ids of clips have their starts with three decimals.
        ge=0.001,
    )
    mono: bool = paper(
        False,
        "Whether the two channels are averaged to one.",
        open_because="“T x 64 x 2” is read as the two channels of stereo; it may mean the log-mel "
        "of a mono signal and its deltas (model.first_deltas).",
    )
    log_mel: LogMelConfig = part(LogMelConfig, "The log-mel spectrogram.")


@dataclass(frozen=True, config=STRICT)
class EventModelConfig(Settings):
    """The network that recognises acoustic events, and its weights."""

    prefix: ClassVar[str] = "event_model."

    name: str = paper(
        "vggish",
        "The event model: VGGish, YAMNet, any SavedModel from a waveform to embeddings, or "
        "embeddings from a file. The last two are always frozen. Only weights, sample_rate_hz, "
        "output, window_seconds and level apply to a SavedModel, and only embeddings to a file.",
        systems=EVENT_SYSTEMS,
        known=catalogue.EVENT_MODELS,
    )
    width: float = paper(
        1.0,
        "Factor on the published numbers of channels; below 1 for a smaller network.",
        systems=EVENT_SYSTEMS,
        gt=0,
        le=1,
    )
    weights: str = ours(
        "",
        "TF-Hub handle, folder of a SavedModel, TF1 checkpoint, Keras .h5 or .npz; empty for "
        "random weights.",
    )
    initialisation: Literal["he", "glorot", "truncated_normal"] = ours(
        "he",
        "Distribution of random weights, at every width: normal of He et al. (2015), uniform of "
        "Glorot and Bengio (2010), or a truncated normal with the deviation 0.01, as in VGGish's "
        "published code.",
        systems=EVENT_SYSTEMS,
        open_because="The start of an event model that is trained from scratch is not given. With "
        "truncated_normal, a full-size VGGish inside CMAM does not learn.",
    )
    embedding_tap: Literal["linear", "relu", "pca", "vggish_2019"] = ours(
        "linear",
        "VGGish: the embedding is the last layer's output (linear, as in the TF-Hub module), its "
        "ReLU (relu, as in tensorflow/models in 2019), the output after the published PCA (pca), "
        "or the ReLU after the PCA in 8 bits (vggish_2019: whole numbers from 0 to 255 without a "
        "gradient, as the code of 2019 computed them; standardise_embedding scales them).",
        systems=EVENT_SYSTEMS,
        open_because="The published versions of VGGish end with a ReLU or without one, and its "
        "published embeddings have a PCA and 8 bits.",
    )
    activation: Literal["relu", "relu6"] = ours(
        "relu",
        "Activation of the hidden layers; YAMNet's published TFLite file has relu6.",
        systems=EVENT_SYSTEMS,
        open_because="The published versions of YAMNet have ReLU or ReLU6.",
    )
    precision: Literal["float32", "mixed_bfloat16"] = ours(
        "float32",
        "VGGish and YAMNet, strategy=feature_based: precision of the arithmetic; weights and "
        "embeddings stay float32.",
        systems=EVENT_SYSTEMS,
        open_because="The precision of the arithmetic is not mentioned.",
    )
    pca: str = ours(
        "",
        "embedding_tap=pca or vggish_2019: .npz of a PCA from crossask-pretrain; empty: Google's "
        "PCA of VGGish.",
        systems=EVENT_SYSTEMS,
        open_because="VGGish's PCA and quantisation of embeddings are not mentioned.",
    )
    pad_end: bool = paper(
        False,
        "VGGish: whether the last, incomplete patch is kept (11 patches for 10 s instead of 10).",
        systems=EVENT_SYSTEMS,
    )
    level: float | None = ours(
        None,
        "Level in dBFS to which each clip is brought before the event model reads it; clips are "
        "amplified by at most 40 dB. None: as recorded. The scene branch reads the clip as "
        "recorded.",
        systems=EVENT_SYSTEMS,
        ge=-60,
        le=0,
        open_because="The level at which clips enter VGGish is not given. Clips of TAU 2019 lie "
        "at -41 to -57 dBFS, far below the recordings that VGGish was trained on.",
    )
    sample_rate_hz: int = paper(
        16000,
        f"name=saved_model: sample rate of the waveform that it reads, in Hz: {SAMPLE_RATES}.",
        systems=EVENT_SYSTEMS,
        ge=1,
    )
    output: Label = paper(
        "",
        "name=saved_model: name, or position from 0, of the output with the embeddings; empty if "
        "it has one output.",
        systems=EVENT_SYSTEMS,
    )
    window_seconds: float | None = paper(
        None,
        "name=saved_model: each clip is cut into windows of this length, which the model reads one "
        "by one; None: it reads the whole clip, or windows of the length that its input has.",
        systems=EVENT_SYSTEMS,
        gt=0,
    )
    embeddings: str = paper(
        "",
        "name=precomputed: .npz with the embeddings [n, width] of every clip, by the id of the "
        "clip.",
        systems=EVENT_SYSTEMS,
    )


@dataclass(frozen=True, config=STRICT)
class ModelConfig(Settings):
    """The scene network of Table 2."""

    prefix: ClassVar[str] = "model."

    encoder: Literal["conv", "residual"] = paper(
        "conv",
        "Encoder of the log-mel: Figure 1's convolutions, or residual blocks "
        "(crossask/models/residual.py).",
        systems=ENCODER_SYSTEMS,
    )
    split_band: bool = paper(
        False,
        "Whether the lower and the upper half of the mel bands each have their own encoder.",
        systems=ENCODER_SYSTEMS,
    )
    deltas: bool = paper(
        False,
        "Whether the first and second time differences of the log-mel are added as channels.",
        systems=ENCODER_SYSTEMS,
    )
    first_deltas: bool = ours(
        False,
        "Whether the first time differences of the log-mel are added as a second channel to that "
        "of a mono signal (features.mono); they are slopes over nine frames.",
        systems=ENCODER_SYSTEMS,
        open_because="“T x 64 x 2” is read as the two channels of stereo; it may mean static and "
        "delta features.",
    )
    encoder_channels: Integers = paper((64, 128, 256, 512), "Channels of the encoder's layers.")
    encoder_pools: Pairs = paper(
        ((2, 2), (2, 2), (2, 2), (2, 2)),
        "Pooling (time, frequency) after each layer: max pooling with encoder=conv, mean pooling "
        "with encoder=residual.",
        systems=ENCODER_SYSTEMS,
    )
    batch_norm_momentum: float = ours(
        0.9,
        "Momentum of batch normalisation's moving mean and variance; 0.99 lags on small corpora.",
        ge=0,
        le=1,
        open_because=NO_BATCH_NORM,
    )
    batch_norm_epsilon: float = ours(
        1e-3, "Epsilon of batch normalisation.", gt=0, open_because=NO_BATCH_NORM
    )
    pooling_heads: int = paper(4, "Heads of the attention pooling.", ge=1)
    pooling_dim: int = paper(1024, "Hidden units of the attention pooling.", ge=1)
    pooling_activation: Literal["relu", "tanh"] = ours(
        "relu",
        "Activation of the attention pooling's hidden units.",
        open_because="The activation of the attention pooling is not given.",
    )
    pooling_penalty: float = ours(
        0.0,
        "Weight of the redundancy penalty |A A^T - I|^2 in the training loss (Lin et al. 2017).",
        ge=0,
        open_because="The redundancy penalty of the cited pooling is not mentioned.",
    )
    vem_pools: Pairs = ours(
        ((2, 2), (2, 2), (1, 2), (1, 2)),
        "VEM: max pooling (time, dimension) after each layer.",
        systems=("VEM",),
        open_because="Four poolings by 2 in time, as in Table 2, leave nothing of ten embeddings.",
    )
    vem_pool_padding: Literal["valid", "same"] = ours(
        "valid",
        "VEM: whether poolings drop steps and dimensions that fill no whole pool (valid) or keep "
        "them (same). With same, four pools of (2, 2) leave one step of ten.",
        systems=("VEM",),
        open_because="The padding of the poolings is not given; Table 2's four poolings by 2 need "
        "it on ten embeddings.",
    )
    trunk: str = paper(
        "",
        "VEM: weights of all layers but the last, an .npz that crossask-pretrain --embeddings "
        "wrote; {seed} in its path is the seed of the run; empty: random weights.",
        systems=("VEM",),
    )
    trunk_training: Literal["trained", "frozen"] = paper(
        "trained",
        "VEM: whether these layers are trained with the last one, or keep their weights and moving "
        "statistics.",
        systems=("VEM",),
    )
    event_encoder_channels: Integers = paper(
        (64, 128, 256, 512, 1024, 1024, 2048),
        "JRM: channels of the event branch's layers.",
        systems=("JRM",),
    )
    event_encoder_pools: Pairs = paper(
        ((2, 2), (2, 2), (1, 2), (1, 2), (1, 2), (1, 2), (1, 2)),
        "JRM: max pooling (time, dimension) after each of the event branch's layers.",
        systems=("JRM",),
    )
    event_width: int = ours(
        128,
        "VEM, JRM: size of the embedding; a linear layer projects embeddings of other sizes to it.",
        systems=("VEM", "JRM"),
        ge=1,
        open_because="The paper uses VGGish's 128 only and does not say how to read wider ones.",
    )
    attention_heads: int = paper(8, "CMAM: heads of the attention blocks.", systems=("CMAM",), ge=1)
    attention_dim: int = paper(
        2048, "CMAM: query dimension, all heads together.", systems=("CMAM",), ge=1
    )
    attention_scale: Literal["head_dim", "query_dim"] = ours(
        "head_dim",
        "CMAM: d in equation 4, whose root divides the scores: dimension of one head (256) or of "
        "all heads (2048).",
        systems=("CMAM",),
        open_because="“The dimension of queries” in equation 4 may be one head's (256) or all "
        "heads' (2048).",
    )
    attention_projection: Literal["all_heads", "each_head"] = ours(
        "all_heads",
        "CMAM: W^O of equation 5. all_heads: Concat(O_i) W^O, one matrix after the heads are "
        "concatenated (2048 x 2048); each_head: Concat(O_i W^O) as printed, one matrix for the "
        "output of every head (256 x 256).",
        systems=("CMAM",),
        open_because="Equation 5 is printed as Concat(O_i W^O), but the ~33M parameters of Table 2 "
        "need one matrix for all heads.",
    )
    positions: Literal["after_widening", "before_widening"] = ours(
        "after_widening",
        "CMAM: whether the positions are added to the embedding after the linear layer that widens "
        "it to the query dimension (2048), or before it (128).",
        systems=("CMAM",),
        open_because="The positions are added to the embedding, but how it is widened for "
        "equation 6 is not described.",
    )
    scale_embedding: bool = ours(
        False,
        "CMAM: whether the embedding is multiplied by the root of its width before the positions "
        "are added, as in Vaswani et al. (2017).",
        systems=("CMAM",),
        open_because="The cited paper scales embeddings by the root of their width; this paper "
        "does not mention it.",
    )
    attention_dropout: float = ours(
        0.1,
        "CMAM: dropout rate of equation 6.",
        systems=("CMAM",),
        ge=0,
        lt=1,
        open_because="Equation 6 has a dropout without its rate.",
    )
    layer_norm_epsilon: float = ours(
        1e-6,
        "CMAM: epsilon of layer normalisation.",
        systems=("CMAM",),
        gt=0,
        open_because="The epsilon of layer normalisation is not given.",
    )
    cross_attention: Literal[
        "event_queries_scene", "scene_queries_event", "scene_queries_scene", "events_alone"
    ] = paper(
        "event_queries_scene",
        "CMAM: the second attention block. event_queries_scene: queries from the embeddings, keys "
        "and values from the scene features; scene_queries_event: the reverse; "
        "scene_queries_scene: a control without events, all from the scene features; "
        "events_alone: a control without the scene features and without this block.",
        systems=("CMAM",),
        open_because="Text and figure do not state which of the two sides are the queries.",
    )
    cross_residual: bool = ours(
        True,
        "CMAM: whether the second attention block has equation 6 (dropout, residual and layer "
        "normalisation); otherwise its output is that of equation 5.",
        systems=("CMAM",),
        open_because="Equation 6 is given for the self-attention; the second block has a similar "
        "“attention function”.",
    )
    linear_penalty: float = paper(
        0.0,
        "LINEAR: weight of the sum of all squared weights in the training loss.",
        systems=("LINEAR",),
        ge=0,
    )
    standardise_embedding: bool = ours(
        False,
        "Whether embeddings are standardised with the mean and standard deviation of the training "
        "part.",
        systems=EVENT_SYSTEMS,
        open_because="The scaling of embeddings is not mentioned.",
    )
    both_channel_orders: bool = ours(
        False,
        "Whether a prediction is the mean over the clip and the clip with exchanged channels; no "
        "effect on mono signals (features.mono).",
        systems=ENCODER_SYSTEMS,
        open_because="Test-time augmentation is not mentioned.",
    )


@dataclass(frozen=True, config=STRICT)
class TrainingConfig(Settings):
    """How a row is trained. Every choice is made on the validation part of the training fold.

    Without a validation part (`validation_share=0`), nothing is chosen.
    """

    prefix: ClassVar[str] = "training."

    epochs: int = ours(
        60, "Number of epochs.", ge=1, open_because="The number of epochs is not given."
    )
    batch_size: int = ours(
        32, "Clips in a batch.", ge=1, open_because="The batch size is not given."
    )
    learning_rate: float = ours(
        3e-4,
        "Adam's learning rate for the whole network.",
        gt=0,
        open_because="The paper trains with one learning rate and does not give it.",
    )
    validation_share: float = ours(
        0.3,
        "Share of the locations of each scene and city of the training fold that is drawn for "
        "validation, unless the corpus has a validation part of its own; 0: the whole training "
        "fold, including such a part, is trained on, which needs training.keep=last and "
        "training.patience=0.",
        ge=0,
        lt=1,
        open_because="No validation part is mentioned; the evaluation fold must not be used to "
        "choose an epoch.",
    )
    validation_seed: int = ours(
        0,
        "Seed of the validation part; the same for every row and run.",
        ge=0,
        open_because=NO_VALIDATION,
    )
    class_weights: Literal["equal", "balanced"] = ours(
        "equal",
        "Weight of a training clip in the loss: 1 (equal), or n / (number of scenes * n of its "
        "scene), so that rare scenes count as much as frequent ones (balanced). A clip of several "
        "scenes, after mixup or label smoothing, has the mean of their weights.",
        open_because="Weights of the scenes are not mentioned. TAU 2019 and TUT 2017 have almost "
        "as many clips of each scene.",
    )
    shuffle_buffer: int = ours(
        256, "Number of clips in a block that is shuffled.", ge=1, open_because=NO_SHUFFLING
    )
    monitor: Literal["macro_accuracy", "accuracy"] = ours(
        "macro_accuracy",
        "Metric on the validation part by which the best epoch is chosen.",
        open_because="The metric by which an epoch is chosen is not given.",
    )
    keep: Literal["best", "last"] = ours(
        "best",
        "Epoch whose weights are kept.",
        open_because="The epoch whose weights are kept is not given.",
    )
    keep_from: int = ours(
        1,
        "First epoch that may be the best.",
        ge=1,
        open_because="The first epoch that may be kept is not given.",
    )
    patience: int = ours(
        0,
        "Training stops after so many epochs without an improvement; 0: never.",
        ge=0,
        open_because=NO_EARLY_STOPPING,
    )
    patience_from: int = ours(
        1, "Epoch from which patience counts.", ge=1, open_because=NO_EARLY_STOPPING
    )
    statistics_over: Literal["training_part", "training_fold"] = ours(
        "training_part",
        "Clips whose mean and standard deviation standardise the features: the training part, or "
        "the whole training fold (training and validation part).",
        open_because="Standardisation of the features is not mentioned.",
    )
    schedule: Literal["constant", "cosine", "warm_restarts"] = ours(
        "constant",
        "Learning rate: constant, a cosine to zero, or cosines with restarts.",
        open_because=NO_SCHEDULE,
    )
    warmup_epochs: int = ours(
        0,
        "schedule=cosine: number of epochs at the start in which the learning rate rises from 0.",
        ge=0,
        open_because=NO_SCHEDULE,
    )
    restart_epochs: int = ours(
        2,
        "schedule=warm_restarts: epochs of the first cosine; each one is twice as long as the one "
        "before.",
        ge=1,
        open_because=NO_SCHEDULE,
    )
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = ours(
        "float32",
        "Precision of the arithmetic in training; weights stay float32.",
        open_because="The precision of the arithmetic is not mentioned.",
    )
    input_streams: int = ours(
        1,
        "Number of streams into which the feature files are divided; a batch has the same number "
        "of clips from each.",
        ge=1,
        open_because=NO_SHUFFLING,
    )
    average_decay: float = ours(
        0.0,
        "Average of the weights: 0: none, 1: the mean, between: decay of an exponential average.",
        ge=0,
        le=1,
        open_because=NO_AVERAGING,
    )
    average_every: Literal["step", "epoch"] = ours(
        "step", "When weights are added to the average.", open_because=NO_AVERAGING
    )
    average_from: int = ours(
        1, "First epoch whose weights are averaged.", ge=1, open_because=NO_AVERAGING
    )
    context_frames: int = ours(
        0,
        "Frames of log-mel in one training example (DCASE 2017's baseline), one example for each "
        "frame of a clip; 0: whole clips.",
        ge=0,
        open_because="The paper does not say whether the network is trained on whole clips; T in "
        "Table 2 suggests it.",
    )


@dataclass(frozen=True, config=STRICT)
class AugmentationConfig(Settings):
    """Random changes of training batches (crossask/features/augmentation.py), none by default."""

    prefix: ClassVar[str] = "augmentation."

    mixup_alpha: float = ours(
        0.0,
        "Mixup: alpha of the Beta distribution from which the share of a clip is drawn; 0: off.",
        ge=0,
        open_because=NO_AUGMENTATION,
    )
    time_masks: int = ours(
        0, "Number of masked time spans of the log-mel.", ge=0, open_because=NO_AUGMENTATION
    )
    time_mask_frames: int = ours(
        20, "Longest masked time span in frames.", ge=0, open_because=NO_AUGMENTATION
    )
    frequency_masks: int = ours(
        0, "Number of masked bands of the log-mel.", ge=0, open_because=NO_AUGMENTATION
    )
    frequency_mask_bins: int = ours(
        8, "Widest masked band in mel bins.", ge=0, open_because=NO_AUGMENTATION
    )
    time_roll: bool = ours(
        False, "Whether the log-mel is rolled in time.", open_because=NO_AUGMENTATION
    )
    swap_channels: bool = ours(
        False,
        "Whether left and right are exchanged in half of the clips; no effect on mono signals "
        "(features.mono).",
        open_because=NO_AUGMENTATION,
    )
    crop_frames: int = ours(
        0,
        "Number of frames of a random crop of the log-mel, fewer than a clip has; 0: off.",
        ge=0,
        open_because=NO_AUGMENTATION,
    )
    label_smoothing: float = ours(
        0.0,
        "Label smoothing: share of the target that is distributed equally over all scenes.",
        ge=0,
        le=1,
        open_because=NO_AUGMENTATION,
    )


@dataclass(frozen=True, config=STRICT)
class DistillationConfig(Settings):
    """A teacher's predictions as a second target (Hinton, Vinyals and Dean 2015)."""

    prefix: ClassVar[str] = "distillation."

    teacher: str = paper(
        "",
        "Tables of probabilities for the training clips, as crossask-evaluate --training_clips "
        'writes them, separated by ";"; empty: no teacher.',
    )
    weight: float = ours(
        1.0, "Weight of the teacher's term in the loss; that of the labels has weight 1.", ge=0
    )
    temperature: float = ours(
        2.0, "Temperature of both softmaxes in the teacher's term of the loss.", ge=1e-3
    )


@dataclass(frozen=True, config=STRICT)
class FineTuningConfig(Settings):
    """How pre-trained layers learn beside the new ones.

    They are the layers of a trained event model and of a pre-trained trunk (model.trunk). The
    defaults are the paper's: one learning rate, all layers from the first step.
    """

    prefix: ClassVar[str] = "fine_tuning."

    event_rate: float = paper(
        1.0,
        "Factor on training.learning_rate for the pre-trained layers.",
        systems=EVENT_SYSTEMS,
        ge=0,
    )
    layer_decay: float = paper(
        1.0,
        "Factor on the learning rate from each pre-trained layer to the layer below it.",
        systems=EVENT_SYSTEMS,
        ge=0,
    )
    probe_epochs: int = paper(
        0,
        "Number of epochs at the start in which only the new layers are trained.",
        systems=EVENT_SYSTEMS,
        ge=0,
    )
    unfreeze_epochs: int = paper(
        0,
        "Epochs after which the next lower pre-trained layer starts to train; 0: all layers start "
        "together.",
        systems=EVENT_SYSTEMS,
        ge=0,
    )
    l2_to_start: float = paper(
        0.0,
        "Pull of pre-trained weights to their starting values: each step moves a weight back by "
        "learning rate x l2_to_start of the distance.",
        systems=EVENT_SYSTEMS,
        ge=0,
    )


@dataclass(frozen=True, config=STRICT)
class Experiment(Settings):
    """One row of a results table: a system, a strategy, a data set and all choices."""

    name: str = required("Name of the row, and of the folder of its runs.")
    system: str = ours(
        "FA",
        "System: a network of the paper's Table 2, an official baseline, or LINEAR, one layer on "
        "the mean and the deviation of the event embeddings.",
        known=catalogue.SYSTEMS,
    )
    strategy: str = ours(
        "from_scratch",
        "How the event model is used: trained from random weights, frozen, or fine-tuned.",
        known=catalogue.STRATEGIES,
    )
    dataset: str = ours("tau2019", "The data set.", known=catalogue.DATASETS)
    folds: Names = ours(("1",), "Folds on which the row is trained and evaluated.")
    features: FeatureConfig = part(FeatureConfig, "The input of the scene model.")
    event_model: EventModelConfig = part(EventModelConfig, "The event model.")
    model: ModelConfig = part(ModelConfig, "The scene network.")
    training: TrainingConfig = part(TrainingConfig, "The training.")
    fine_tuning: FineTuningConfig = part(FineTuningConfig, "The training of pre-trained layers.")
    augmentation: AugmentationConfig = part(AugmentationConfig, "Random changes of the batches.")
    distillation: DistillationConfig = part(DistillationConfig, "Training with a teacher.")
    event_control: Literal["", "other_clip", "shuffled_in_time", "true_events"] = paper(
        "",
        "Control experiment: other_clip: the embeddings of another clip; shuffled_in_time: the "
        "clip's own in random order; true_events: the soundscapes' events instead.",
        systems=EVENT_SYSTEMS,
    )
    paper_score: float | None = ours(None, "The paper's macro accuracy in percent (Table 3).")
    note: str = ours("", "Note on the row that is printed in a report.")

    @pydantic.model_validator(mode="after")
    def _follows_the_rules(self) -> "Experiment":
        rules.check(self)
        return self

    @property
    def reads_log_mel(self) -> bool:
        """Whether the row reads the log-mel spectrogram."""
        return catalogue.system(self.system).reads_log_mel

    @property
    def reads_events(self) -> bool:
        """Whether the row reads embeddings of an event model."""
        return catalogue.system(self.system).reads_events

    @property
    def event_model_read(self) -> EventModelConfig | None:
        """The event model, or None if the row reads no events."""
        if not self.reads_events:
            return None
        return self.event_model

    @property
    def trains_events(self) -> bool:
        """Whether the row trains its event model together with the scene network."""
        return self.event_input == "patches"

    @property
    def event_input(self) -> Literal["", "embedding", "patches"]:
        """Input of the event branch: none, frozen embeddings, or patches of a trained model."""
        if not self.reads_events:
            return ""
        if self.strategy == "feature_based":
            return "embedding"
        return "patches"

    @property
    def feature_kinds(self) -> tuple[str, ...]:
        """Features that the row reads: "log_mel", "embedding", "patches"."""
        kinds = []
        if self.reads_log_mel:
            kinds.append("log_mel")
        if self.event_input:
            kinds.append(self.event_input)
        return tuple(kinds)

    @property
    def soft_targets(self) -> bool:
        """Whether a clip's target is a probability of every scene instead of one scene."""
        mixes_clips = self.augmentation.mixup_alpha > 0
        smooths_labels = self.augmentation.label_smoothing > 0
        return mixes_clips or smooths_labels
