"""The package's networks and its log-mel, written in PyTorch with the same weights.

Images are [B, channels, time, frequency] in PyTorch's format "channels last", which its
convolutions on processors prefer.
"""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import fusion

# As in crossask/events: the convolutions of VGGish as (channels, whether a pool follows), and the
# blocks of YAMNet as (stride, channels).
VGGISH = ((64, True), (128, True), (256, False), (256, True), (512, False), (512, True))
YAMNET = (
    (2, 32),
    (1, 64),
    (2, 128),
    (1, 128),
    (2, 256),
    (1, 256),
    (2, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (2, 1024),
    (1, 1024),
)


class LogMel(nn.Module):
    """Waveforms [..., samples] to log-mel [..., frames, mels].

    `numbers` are window, hop and so on, see `parts.features.peer_options`; `triangles` is the file
    of the mel filter bank [fft_size / 2 + 1, mels].
    """

    def __init__(self, numbers: Mapping[str, Any], triangles: Path):
        super().__init__()
        self.numbers = numbers
        self.register_buffer("window", torch.hann_window(numbers["window"]), persistent=False)
        matrix = torch.from_numpy(np.load(triangles))
        self.register_buffer("triangles", matrix, persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Returns the log-mel."""
        frames = waveform.unfold(-1, self.numbers["window"], self.numbers["hop"]) * self.window
        spectrum = torch.fft.rfft(frames, self.numbers["fft_size"]).abs()
        if self.numbers["spectrum"] == "power":
            spectrum = spectrum.square()
        return torch.log(spectrum @ self.triangles + self.numbers["log_offset"])


class Encoder(nn.Module):
    """Images to features of time steps, [B, C, T, F] -> [B, T', F' * C']."""

    def __init__(self, inputs: int, channels: Sequence[int], pools: Sequence, epsilon: float):
        super().__init__()
        self.convolutions = nn.ModuleList()
        self.batch_norms = nn.ModuleList()
        self.pools = [tuple(pool) for pool in pools]
        for count in channels:
            self.convolutions.append(nn.Conv2d(inputs, count, 3, padding=1, bias=False))
            self.batch_norms.append(nn.BatchNorm2d(count, eps=epsilon))
            inputs = count

    def forward(self, x: Tensor) -> Tensor:
        """Returns the features."""
        for convolution, batch_norm, pool in zip(
            self.convolutions, self.batch_norms, self.pools, strict=True
        ):
            x = functional.max_pool2d(functional.relu(batch_norm(convolution(x))), pool)
        return x.permute(0, 2, 3, 1).flatten(2)

    def fold(self) -> None:
        """Folds the batch normalisations into the convolutions, for inference."""
        for number, batch_norm in enumerate(self.batch_norms):
            self.convolutions[number] = fusion.fuse_conv_bn_eval(
                self.convolutions[number], batch_norm
            )
            self.batch_norms[number] = nn.Identity()


class AttentionPooling(nn.Module):
    """The pooling of Figure 2, [B, T, C] -> [B, heads * C]."""

    def __init__(self, width: int, heads: int, dim: int):
        super().__init__()
        self.hidden = nn.Linear(width, dim, bias=False)
        self.score = nn.Linear(dim, heads, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the pooled features."""
        scores = self.score(functional.relu(self.hidden(x)))  # [B, T, N]
        attention = scores.transpose(1, 2).float().softmax(-1)  # [B, N, T]
        return (attention.to(x.dtype) @ x).flatten(1)


class Attention(nn.Module):
    """The attention block, equations 1 to 6."""

    def __init__(self, heads: int, dim: int, dropout: float, epsilon: float):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim, bias=False)
        self.output_projection = nn.Linear(dim, dim, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.layer_norm = nn.LayerNorm(dim, eps=epsilon)

    def forward(self, query: Tensor, key_value: Tensor) -> Tensor:
        """Returns O of equation 6."""
        heads = functional.scaled_dot_product_attention(
            self._split(self.query(query)),
            self._split(self.key(key_value)),
            self._split(self.value(key_value)),
        )
        output = self.output_projection(heads.transpose(1, 2).flatten(2))
        return self.layer_norm(self.dropout(output) + query)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class VGGish(nn.Module):
    """Patches [n, 96, 64] to embeddings [n, 128]."""

    def __init__(self, has_relu: bool = True):
        super().__init__()
        self.has_relu = has_relu
        self.layers = nn.ModuleList()
        inputs = 1
        for channels, _ in VGGISH:
            self.layers.append(nn.Conv2d(inputs, channels, 3, padding=1))
            inputs = channels
        for inputs, units in ((12288, 4096), (4096, 4096), (4096, 128)):
            self.layers.append(nn.Linear(inputs, units))

    def forward(self, patches: Tensor) -> Tensor:
        """Returns the embeddings."""
        x = patches.unsqueeze(1).contiguous(memory_format=torch.channels_last)
        # The dense layers follow those of VGGISH.
        for layer, (_, is_pooled) in zip(self.layers, VGGISH, strict=False):
            x = functional.relu(layer(x))
            if is_pooled:
                x = functional.max_pool2d(x, 2)
        x = x.permute(0, 2, 3, 1).flatten(1)
        for layer in self.layers[len(VGGISH) : -1]:
            x = functional.relu(layer(x))
        x = self.layers[-1](x)
        return functional.relu(x) if self.has_relu else x


class YAMNet(nn.Module):
    """Patches [n, 96, 64] to embeddings [n, 1024]; batch normalisations are folded already."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        inputs = 1
        for number, (stride, channels) in enumerate(YAMNET):
            if number == 0:
                self.layers.append(nn.Conv2d(1, channels, 3, stride))
            else:
                self.layers.append(nn.Conv2d(inputs, inputs, 3, stride, groups=inputs))
                self.layers.append(nn.Conv2d(inputs, channels, 1))
            inputs = channels

    def forward(self, patches: Tensor) -> Tensor:
        """Returns the embeddings."""
        x = patches.unsqueeze(1).contiguous(memory_format=torch.channels_last)
        for layer in self.layers:
            if layer.kernel_size == (3, 3):
                # TensorFlow's "same": with stride 2, one row and one column behind.
                x = functional.pad(x, (0, 1, 0, 1) if layer.stride == (2, 2) else (1, 1, 1, 1))
            x = functional.relu(layer(x))
        return x.mean((2, 3))


class FA(nn.Module):
    """The fundamental architecture."""

    def __init__(self, model: Mapping[str, Any], classes: int):
        super().__init__()
        self.encoder = _scene_encoder(model)
        self.pooling = _pooling(model, _width(model))
        self.scene = nn.Linear(model["pooling_heads"] * _width(model), classes)

    def forward(self, log_mel: Tensor) -> Tensor:
        """Returns the logits [B, classes] of log-mels [B, T, 64, 2]."""
        return self.scene(self.pooling(self.encoder(_image(log_mel))))


class JRM(nn.Module):
    """The joint representation based model."""

    def __init__(self, model: Mapping[str, Any], classes: int):
        super().__init__()
        self.encoder = _scene_encoder(model)
        self.pooling = _pooling(model, _width(model))
        self.event_encoder = Encoder(
            1,
            model["event_encoder_channels"],
            model["event_encoder_pools"],
            model["batch_norm_epsilon"],
        )
        self.event_pooling = _pooling(model, model["event_encoder_channels"][-1])
        widths = _width(model) + model["event_encoder_channels"][-1]
        self.scene = nn.Linear(model["pooling_heads"] * widths, classes)

    def forward(self, log_mel: Tensor, embedding: Tensor) -> Tensor:
        """Returns the logits [B, classes] of log-mels and embeddings [B, P, 128]."""
        r = self.pooling(self.encoder(_image(log_mel)))
        e = self.event_pooling(self.event_encoder(embedding.unsqueeze(1)))
        return self.scene(torch.cat([r, e], dim=-1))


class CMAM(nn.Module):
    """The cross-task multi-head attention model; with an event model, it reads patches."""

    def __init__(self, model: Mapping[str, Any], classes: int, event_model: nn.Module | None):
        super().__init__()
        self.event_model = event_model
        dim = model["attention_dim"]
        attention = (
            model["attention_heads"],
            dim,
            model["attention_dropout"],
            model["layer_norm_epsilon"],
        )
        self.encoder = _scene_encoder(model)
        self.widening = nn.Linear(128, dim)
        self.self_attention = Attention(*attention)
        self.cross_attention = Attention(*attention)
        self.pooling = _pooling(model, dim)
        self.scene = nn.Linear(model["pooling_heads"] * dim, classes)

    def forward(self, log_mel: Tensor, events: Tensor) -> Tensor:
        """Returns the logits of log-mels and embeddings [B, P, 128] or patches [B, P, 96, 64]."""
        if self.event_model is not None:
            events = self.event_model(events.flatten(0, 1)).unflatten(0, events.shape[:2])
        r = self.encoder(_image(log_mel))
        h = self.widening(events)
        h = h + _positions(*h.shape[1:]).to(h.dtype)
        o = self.self_attention(h, h)
        return self.scene(self.pooling(self.cross_attention(o, r)))


def load(network: nn.Module, path: str) -> nn.Module:
    """Reads the weights that `speed.ours.networks` returned, and returns the network.

    Raises:
      ValueError: Weights are missing, or are left over.
    """
    with np.load(path) as arrays:
        state = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    found = network.load_state_dict(state, strict=False)
    missing = [name for name in found.missing_keys if not name.endswith("num_batches_tracked")]
    if missing or found.unexpected_keys:
        raise ValueError(f"missing weights: {missing}; unknown: {found.unexpected_keys}")
    return network.to(memory_format=torch.channels_last)


def _scene_encoder(model: Mapping[str, Any]) -> Encoder:
    return Encoder(
        2, model["encoder_channels"], model["encoder_pools"], model["batch_norm_epsilon"]
    )


def _pooling(model: Mapping[str, Any], width: int) -> AttentionPooling:
    return AttentionPooling(width, model["pooling_heads"], model["pooling_dim"])


def _width(model: Mapping[str, Any]) -> int:
    """Returns the features of a time step after the encoder of 64 mel bands."""
    bins = 64
    for _, pool in model["encoder_pools"]:
        bins //= pool
    return bins * model["encoder_channels"][-1]


def _image(log_mel: Tensor) -> Tensor:
    """Returns log-mels [B, T, 64, 2] as images [B, 2, T, 64]; in memory nothing moves."""
    return log_mel.permute(0, 3, 1, 2)


@functools.lru_cache
def _positions(length: int, width: int) -> Tensor:
    """Returns the positional encoding of Vaswani et al. (2017), [length, width]."""
    rates = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angles = torch.arange(length)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1).float()
