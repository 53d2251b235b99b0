"""What the paper and the official baselines say, as literal data: nothing here is ours, and nothing is computed.

The paper: Zhang, Zou, Li, "Cross-task pre-training for acoustic scene classification" (arXiv 1910.09935).
"""

import dataclasses

# systems in the order of Table 3, and how a title writes them
TITLES = {
    "DCASE2017": "DCASE 2017 baseline",
    "DCASE2019": "DCASE 2019 baseline",
    "FA": "FA",
    "VEM": "VEM",
    "JRM": "JRM",
    "CMAM": "CMAM",
}
STRATEGIES = {
    "from_scratch": "from scratch",
    "feature_based": "feature-based",
    "fine_tuning": "fine-tuning",
}
BASELINES = ("DCASE2017", "DCASE2019")
WITHOUT_EVENTS = (*BASELINES, "FA")  # no event model, so that a strategy says nothing of them
PAPERS_OWN = ("FA", "VEM", "JRM", "CMAM")
WITH_EVENTS = ("VEM", "JRM", "CMAM")

# clips that the paper's own scores are of: its fold of TAU 2019, and all four folds of TUT 2017 pooled
PAPER_CLIPS = {"tau2019": 4185, "tut2017": 4680}

# Table 3, macro accuracy in percent: (system, strategy) -> score; None where the paper leaves the cell blank
TABLE_3 = {
    "tut2017": {
        ("DCASE2017", ""): 78.4,
        ("FA", ""): 81.7,
        ("VEM", "from_scratch"): None,
        ("VEM", "feature_based"): 72.1,
        ("VEM", "fine_tuning"): None,
        ("JRM", "from_scratch"): 83.0,
        ("JRM", "feature_based"): 83.7,
        ("JRM", "fine_tuning"): 83.2,
        ("CMAM", "from_scratch"): 83.2,
        ("CMAM", "feature_based"): 85.8,
        ("CMAM", "fine_tuning"): 83.1,
    },
    "tau2019": {
        ("DCASE2019", ""): 62.5,
        ("FA", ""): 66.5,
        ("VEM", "from_scratch"): None,
        ("VEM", "feature_based"): 57.3,
        ("VEM", "fine_tuning"): None,
        ("JRM", "from_scratch"): 67.2,
        ("JRM", "feature_based"): 63.4,
        ("JRM", "fine_tuning"): 66.8,
        ("CMAM", "from_scratch"): 65.1,
        ("CMAM", "feature_based"): 68.8,
        ("CMAM", "fine_tuning"): 65.3,
    },
}


@dataclasses.dataclass(frozen=True)
class Official:
    """A baseline's score as its own authors print it, in percent."""

    percent: float
    text: str
    source: str
    folds: tuple[float, ...] = ()


OFFICIAL = {
    "tut2017": Official(
        74.8,
        "74.8 (folds 75.2, 75.3, 77.3, 71.3)",
        "documentation of the DCASE 2017 baseline system (TUT-ARG/DCASE2017-baseline-system), task 1, development set",
        (75.2, 75.3, 77.3, 71.3),
    ),
    "tau2019": Official(
        62.5,
        "62.5 ± 0.6 (10 runs)",
        "README of the DCASE 2019 task 1 baseline (toni-heittola/dcase2019_task1_baseline), subtask A, development set",
    ),
}


@dataclasses.dataclass(frozen=True)
class Claim:
    """One sentence of the paper (Section 3.3) as a difference of two cells of Table 3."""

    first: tuple[str, str]
    second: tuple[str, str]
    says: str


CLAIMS = (
    Claim(("CMAM", "feature_based"), ("FA", ""), "CMAM with frozen events is the best of all"),
    Claim(
        ("CMAM", "feature_based"),
        ("CMAM", "from_scratch"),
        "it is the events, not the larger network, that help CMAM",
    ),
    Claim(
        ("CMAM", "feature_based"),
        ("JRM", "feature_based"),
        "attention uses the events better than concatenation does",
    ),
    Claim(("JRM", "from_scratch"), ("FA", ""), "the larger network alone helps"),
    Claim(
        ("JRM", "fine_tuning"),
        ("JRM", "from_scratch"),
        "fine-tuning JRM is no better than training it from scratch",
    ),
    Claim(
        ("CMAM", "fine_tuning"),
        ("CMAM", "from_scratch"),
        "fine-tuning CMAM is no better than training it from scratch",
    ),
    Claim(("VEM", "feature_based"), ("FA", ""), "embeddings in place of the log-mel are worse"),
)


@dataclasses.dataclass(frozen=True)
class Erratum:
    """Where the paper contradicts itself or its sources."""

    text: str
    of_scores: bool  # quotes scores: shown only where the paper's scores may stand beside ours


ERRATA = (
    Erratum(
        "Table 3 gives the baseline of TUT 2017 as 78.4 %. Its authors print 74.8 % (folds 75.2, 75.3, 77.3, 71.3); 78.4 stands in no "
        "source we know and is 74.8 with two digits exchanged.",
        True,
    ),
    Erratum(
        "The abstract's gains over the baseline, 9.5 % on TAU 2019 and 10 % on TUT 2017, are exchanged: 68.8 / 62.5 = 1.101 is that of "
        "TAU 2019, 85.8 / 78.4 = 1.094 that of TUT 2017. Against the official 74.8, 85.8 is 14.7 % more.",
        True,
    ),
    Erratum(
        "Table 2 calls N x 10 x 96 x 64 the output size of the VGGish module. It is the size of its input, ten patches of 96 frames and "
        "64 mel bins; what it returns is N x 10 x 128.",
        False,
    ),
    Erratum(
        "Table 2's parameters are in units of 2^20, not of a million: FA's kernels are 1,549,440 (1.478 x 2^20, printed as 1.47 M) and "
        "those of JRM's embedding branch 34,579,008 (32.98 x 2^20, printed as 33 M). CMAM's two attention blocks are 33,554,432: "
        "32.00 x 2^20, yet printed as 33 M too.",
        False,
    ),
)
