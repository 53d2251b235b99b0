"""TAU Urban Acoustic Scenes 2020 Mobile and 2022 Mobile, development sets (Heittola et al. 2020).

Both have the same recordings of several devices: the 2022 edition is the 2020 edition in clips of
1 s. The layout, the scenes and the kind of fold are those of TAU 2019; the sound is mono, 44.1 kHz.
"""

from pathlib import Path

from crossask.datasets import tau2019
from crossask.datasets.clips import Corpus

# Three real devices (a: the recorder of TAU 2019, b and c: consumer devices), and six devices that
# were simulated from the recordings of a. The training side of the fold has no clip of s4 to s6.
DEVICES = ("a", "b", "c", "s1", "s2", "s3", "s4", "s5", "s6")

# (url, bytes, md5) of each archive; free for non-commercial use with acknowledgement of Tampere
# University. docs/corpora.md names the sources.
_PREFIX_2020 = (
    "https://zenodo.org/record/3819968/files/TAU-urban-acoustic-scenes-2020-mobile-development"
)
ARCHIVES_2020 = (
    (f"{_PREFIX_2020}.doc.zip", 18_066, "175f40dc3fec144347abad4d2962b7ae"),
    (f"{_PREFIX_2020}.meta.zip", 214_159, "6eae9db553ce48e4ea246e34e50a3cf5"),
    (f"{_PREFIX_2020}.audio.1.zip", 1_726_039_031, "b1e85b8a908d3d6a6ab73268f385d5c8"),
    (f"{_PREFIX_2020}.audio.2.zip", 1_782_268_370, "4310a13cc2943d6ce3f70eba7ba4c784"),
    (f"{_PREFIX_2020}.audio.3.zip", 1_870_468_865, "ed38956c4246abb56190c1e9b602b7b8"),
    (f"{_PREFIX_2020}.audio.4.zip", 1_879_413_176, "97ab8560056b6816808dedc044dcc023"),
    (f"{_PREFIX_2020}.audio.5.zip", 1_823_936_584, "b50f5e0bfed33cd8e52cb3e7f815c6cb"),
    (f"{_PREFIX_2020}.audio.6.zip", 1_827_246_144, "fbf856a3a86fff7520549c899dc94372"),
    (f"{_PREFIX_2020}.audio.7.zip", 1_728_630_243, "0dbffe7b6e45564da649378723284062"),
    (f"{_PREFIX_2020}.audio.8.zip", 1_748_646_043, "bb6f77832bf0bd9f786f965beb251b2e"),
    (f"{_PREFIX_2020}.audio.9.zip", 1_780_487_215, "a65596a5372eab10c78e08a0de797c9e"),
    (f"{_PREFIX_2020}.audio.10.zip", 1_726_068_853, "2ad595819ffa1d56d2de4c7ed43205a6"),
    (f"{_PREFIX_2020}.audio.11.zip", 1_744_480_272, "0ad29f7040a4e6a22cfd639b3a6738e5"),
    (f"{_PREFIX_2020}.audio.12.zip", 1_738_707_195, "e5f4400c6b9697295fab4cf507155a2f"),
    (f"{_PREFIX_2020}.audio.13.zip", 1_835_797_785, "8855ab9f9896422746ab4c5d89d8da2f"),
    (f"{_PREFIX_2020}.audio.14.zip", 1_846_390_881, "092ad744452cd3e7de78f988a3d13020"),
    (f"{_PREFIX_2020}.audio.15.zip", 1_869_032_508, "4b5eb85f6592aebf846088d9df76b420"),
    (f"{_PREFIX_2020}.audio.16.zip", 436_971_777, "2e0a89723e58a3836be019e6996ae460"),
)

_PREFIX_2022 = (
    "https://zenodo.org/record/6337421/files/TAU-urban-acoustic-scenes-2022-mobile-development"
)
ARCHIVES_2022 = (
    (f"{_PREFIX_2022}.doc.zip", 16_819, "9c4f610bdb5d3e3e72a17d393a26452a"),
    (f"{_PREFIX_2022}.meta.zip", 1_538_781, "419b6ff6570f1030730352dc80cd8d15"),
    (f"{_PREFIX_2022}.audio.1.zip", 1_736_050_960, "8be14bdbd844481dce059ab31fbd2239"),
    (f"{_PREFIX_2022}.audio.2.zip", 1_791_821_989, "e821abda49b069248bb75eab39df7575"),
    (f"{_PREFIX_2022}.audio.3.zip", 1_878_561_499, "9c7897f78bb42ca0008936daddf3f8f3"),
    (f"{_PREFIX_2022}.audio.4.zip", 1_887_825_128, "53ec3e37c0fc0be75f53c5abbc5300b8"),
    (f"{_PREFIX_2022}.audio.5.zip", 1_832_871_840, "528422c33c5d10263203d2c61cb1f3be"),
    (f"{_PREFIX_2022}.audio.6.zip", 1_836_165_296, "4759a9465c903e13e57d5e82e791fc28"),
    (f"{_PREFIX_2022}.audio.7.zip", 1_737_838_582, "6d545fc83a55a17856a9ccc1ac9aff6b"),
    (f"{_PREFIX_2022}.audio.8.zip", 1_758_317_867, "3a2916a9b5d3f43cc7a22a62b180b0d9"),
    (f"{_PREFIX_2022}.audio.9.zip", 1_790_044_829, "071f664c86639ad730f7be4e3c39d886"),
    (f"{_PREFIX_2022}.audio.10.zip", 1_736_836_871, "e0839d019e9b77ecbcbb0eff85965530"),
    (f"{_PREFIX_2022}.audio.11.zip", 1_754_618_148, "fc60f1c83726be3963ae14fbcb95eeb4"),
    (f"{_PREFIX_2022}.audio.12.zip", 1_748_795_940, "02246547f86c0a814dc63ec65d7033bb"),
    (f"{_PREFIX_2022}.audio.13.zip", 1_844_234_922, "88ae9ef884665140d1572d8061725e00"),
    (f"{_PREFIX_2022}.audio.14.zip", 1_854_884_822, "c3f400d74ae90e5190dc518cde43de47"),
    (f"{_PREFIX_2022}.audio.15.zip", 1_877_789_093, "85594c6fe4f91c10aa2a410f748103b8"),
    (f"{_PREFIX_2022}.audio.16.zip", 435_379_083, "6e2df8438c69f6789414aeba8cbad9d8"),
)


def read(data_dir: str | Path, need_audio: bool = True, name: str = "tau2020_mobile") -> Corpus:
    """Reads either edition; see `tau2019.read_layout`.

    Each clip has its device. The fold of the 2020 edition has 13,962 clips to train on and 2,968 to
    evaluate, that of the 2022 edition ten times as many. The other clips of the release (6,105 and
    61,050) are in neither side; they are left out, and `Corpus.unused` counts them.

    Args:
      data_dir: Folder of the corpus.
      need_audio: Whether the sound files must exist.
      name: Name of the data set.

    Raises:
      DataError: See `tau2019.read_layout`.
    """
    return tau2019.read_layout(data_dir, need_audio, name, DEVICES)
