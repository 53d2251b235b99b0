"""What the paper and the official baselines state, as literal data.

The paper: Zhang, Zou and Li, "Cross-task pre-training for acoustic scene classification" (arXiv
1910.09935).
"""

import dataclasses
from typing import NamedTuple


class Cell(NamedTuple):
    """A row of Table 3; `strategy` is empty for systems that read no events."""

    system: str
    strategy: str


# Number of clips of the paper's scores: one fold of TAU 2019, and all four folds of TUT 2017.
PAPER_CLIPS = {"tau2019": 4185, "tut2017": 4680}
# Corpora whose reports refer to the paper: its own two, and the generated one that rehearses them.
CORPORA = {*PAPER_CLIPS, "soundscapes"}

# Table 3: macro accuracy in percent; None where the paper leaves the cell blank.
TABLE_3 = {
    "tut2017": {
        Cell("DCASE2017", ""): 78.4,
        Cell("FA", ""): 81.7,
        Cell("VEM", "from_scratch"): None,
        Cell("VEM", "feature_based"): 72.1,
        Cell("VEM", "fine_tuning"): None,
        Cell("JRM", "from_scratch"): 83.0,
        Cell("JRM", "feature_based"): 83.7,
        Cell("JRM", "fine_tuning"): 83.2,
        Cell("CMAM", "from_scratch"): 83.2,
        Cell("CMAM", "feature_based"): 85.8,
        Cell("CMAM", "fine_tuning"): 83.1,
    },
    "tau2019": {
        Cell("DCASE2019", ""): 62.5,
        Cell("FA", ""): 66.5,
        Cell("VEM", "from_scratch"): None,
        Cell("VEM", "feature_based"): 57.3,
        Cell("VEM", "fine_tuning"): None,
        Cell("JRM", "from_scratch"): 67.2,
        Cell("JRM", "feature_based"): 63.4,
        Cell("JRM", "fine_tuning"): 66.8,
        Cell("CMAM", "from_scratch"): 65.1,
        Cell("CMAM", "feature_based"): 68.8,
        Cell("CMAM", "fine_tuning"): 65.3,
    },
}


@dataclasses.dataclass(frozen=True)
class OfficialScore:
    """The score of a baseline as its own authors publish it.

    Attributes:
      percent: Macro accuracy in percent.
      text: The score as it is printed.
      source: Where it is printed.
      folds: Scores of the folds in percent, if they are printed.
    """

    percent: float
    text: str
    source: str
    folds: tuple[float, ...] = ()


OFFICIAL = {
    "tut2017": OfficialScore(
        percent=74.8,
        text="74.8 (folds 75.2, 75.3, 77.3, 71.3)",
        source="documentation of the DCASE 2017 baseline system "
        "(TUT-ARG/DCASE2017-baseline-system), task 1, development set",
        folds=(75.2, 75.3, 77.3, 71.3),
    ),
    "tau2019": OfficialScore(
        percent=62.5,
        text="62.5 ± 0.6 (10 runs)",
        source="README of the DCASE 2019 task 1 baseline "
        "(toni-heittola/dcase2019_task1_baseline), subtask A, development set",
    ),
}


@dataclasses.dataclass(frozen=True)
class Claim:
    """A sentence of Section 3.3 about differences of cells of Table 3.

    Attributes:
      first: The cell that the sentence is about.
      others: The cells to which it is compared.
      says: The sentence in our words.
    """

    first: Cell
    others: tuple[Cell, ...]
    says: str

    @property
    def is_about_all(self) -> bool:
        """Whether the sentence compares one cell with all others."""
        return len(self.others) > 1


def _scored_cells_except(cell: Cell) -> tuple[Cell, ...]:
    """Returns every other cell that has a score of the paper on one of the corpora."""
    cells = {}
    for table in TABLE_3.values():
        for other, score in table.items():
            if other != cell and score is not None:
                # A dictionary, because its keys keep their order.
                cells[other] = None
    return tuple(cells)


CMAM_FEATURE_BASED = Cell("CMAM", "feature_based")
CLAIMS = (
    Claim(
        CMAM_FEATURE_BASED,
        _scored_cells_except(CMAM_FEATURE_BASED),
        "CMAM with a frozen event model is the best of all",
    ),
    Claim(
        CMAM_FEATURE_BASED,
        (Cell("CMAM", "from_scratch"),),
        "the gain of CMAM comes from the pre-trained events, not from its size",
    ),
    Claim(
        CMAM_FEATURE_BASED,
        (Cell("JRM", "feature_based"),),
        "attention to the events is better than concatenation",
    ),
    Claim(
        Cell("JRM", "from_scratch"),
        (Cell("FA", ""),),
        "the larger network is better even without pre-training",
    ),
    Claim(
        Cell("JRM", "fine_tuning"),
        (Cell("JRM", "from_scratch"),),
        "fine-tuning JRM is no better than training it from scratch",
    ),
    Claim(
        Cell("CMAM", "fine_tuning"),
        (Cell("CMAM", "from_scratch"),),
        "fine-tuning CMAM is no better than training it from scratch",
    ),
    Claim(
        Cell("VEM", "feature_based"),
        (Cell("FA", ""),),
        "embeddings alone are worse than the log-mel",
    ),
)


@dataclasses.dataclass(frozen=True)
class Erratum:
    """An error of the paper.

    Attributes:
      text: The error in words.
      quotes_scores: Whether it quotes scores of Table 3, which are shown only beside scores of the
        same clips.
    """

    text: str
    quotes_scores: bool


ERRATA = (
    Erratum(
        "Table 3 gives the baseline of TUT 2017 as 78.4 %. Its authors publish 74.8 % (folds 75.2, "
        "75.3, 77.3, 71.3). We found 78.4 in no other source. Exchanging two digits of 74.8 gives "
        "78.4, so it may be a misprint.",
        quotes_scores=True,
    ),
    Erratum(
        "The abstract exchanges its gains over the baseline, 9.5 % on TAU 2019 and 10 % on TUT "
        "2017: 68.8 / 62.5 = 1.101 is the gain on TAU 2019 and 85.8 / 78.4 = 1.094 that on TUT "
        "2017. Compared with the official 74.8, 85.8 is 14.7 % more.",
        quotes_scores=True,
    ),
    Erratum(
        "Table 2 gives N x 10 x 96 x 64 as the output size of the VGGish module. This is the size "
        "of its input, ten patches of 96 frames and 64 mel bins; its output is N x 10 x 128.",
        quotes_scores=False,
    ),
    Erratum(
        "Table 2 counts parameters in units of 2^20 instead of a million: FA's kernels have "
        "1,549,440 (1.478 x 2^20, printed as 1.47 M) and those of JRM's embedding branch "
        "34,579,008 (32.98 x 2^20, printed as 33 M). CMAM's two attention blocks have 33,554,432, "
        "which is 32.00 x 2^20, but they are printed as 33 M, too.",
        quotes_scores=False,
    ),
    Erratum(
        "Section 2 says that VGGish was trained on AudioSet. Its authors say that the published "
        "weights were trained on a preliminary version of YouTube-8M; AudioSet was published with "
        "embeddings that this network computed.",
        quotes_scores=False,
    ),
)
