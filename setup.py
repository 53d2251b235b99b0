"""Packaging of crossask. constraints.txt has exact versions that work together."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION_FILE = (HERE / "crossask" / "version.py").read_text()
# Importing the package would need its requirements.
VERSION = re.search(r'__version__ = "(.+)"', VERSION_FILE).group(1)
# crossask/cli/main.py describes the verbs.
VERBS = (
    "prepare",
    "pretrain",
    "train",
    "evaluate",
    "report",
    "export",
    "predict",
    "describe",
    "launch",
    "app",
    "fields",
    "experiments",
    "completion",
)


def without_links(text: str) -> str:
    """Returns Markdown in which links and pictures of this repository are plain text.

    A package index shows the README without the files beside it.
    """
    text = re.sub(r"!\[([^\]]*)\]\((?!https?://)[^)]*\)", r"(\1)", text)
    return re.sub(r"\[([^\]]+)\]\((?!https?://)[^)]*\)", r"\1", text)


EXPERIMENTS = sorted(str(path.relative_to(HERE)) for path in HERE.glob("experiments/*.py"))

# What predicting with an exported model needs, and building networks in Python.
CORE = [
    "tensorflow~=2.20.0",
    "tf-keras~=2.20.0",
    "numpy>=1.26",
    "soundfile>=0.13",
    "soxr>=0.5",
    "absl-py>=1.4",
    "tqdm>=4.66",
    "pydantic>=2.7",
    "h5py>=3.10",
    "pooch>=1.8",
    "httpx>=0.27",
    "certifi",
    "filelock>=3.12",
]
# Preparing, training, evaluating and reporting.
TRAIN = [
    "tensorflow-hub>=0.16.1",
    # Its requirement tensorflow-text has no wheels for Windows, where one device can be trained on.
    "tf-models-official~=2.20.0; platform_system != 'Windows'",
    # tensorflow-hub imports pkg_resources, which setuptools 81 deprecates and 84 lacks
    "setuptools<81",
    "librosa>=0.11",
    "scipy>=1.11",
    "scikit-learn>=1.4",
    "pandas>=2.1",
    "matplotlib>=3.8",
    "jinja2>=3.1",
]
APP = ["gradio>=6.31", "librosa>=0.11", "matplotlib>=3.8", "jinja2>=3.1"]
BEAM = ["apache-beam>=2.70"]
KAGGLE = ["kagglehub>=0.3"]
# Formats that libsndfile does not read: m4a, aac, webm, mp4, mov, wma, amr, 3gp.
MEDIA = ["av>=12"]
# LiteRT files (.tflite) without TensorFlow.
LITE = ["ai-edge-litert>=2.0"]
SERVING = ["tensorflow-serving-api~=2.20.0"]
TEST = [
    "pytest>=8",
    "pytest-xdist>=3.6",
    "build>=1.2",
    "twine>=6",
    # They run docs/quickstart.ipynb.
    "nbclient>=0.10",
    "ipykernel>=6.29",
]
# Format and style, the documentation site, `make resolve` and `make coverage`.
DEV = [
    "ruff>=0.6",
    "pytest-cov>=6",
    "mkdocs-material>=9.5",
    "mkdocstrings[python]>=0.26",
    "mkdocs-jupyter>=0.25",
    "uv>=0.5",
]

setup(
    name="crossask",
    version=VERSION,
    description="Cross-task pre-training for acoustic scene classification",
    long_description=without_links((HERE / "README.md").read_text(encoding="utf-8")),
    long_description_content_type="text/markdown",
    author="The developers of crossask",
    license="Apache-2.0",
    license_files=["LICENSE"],
    project_urls={"Paper": "https://arxiv.org/abs/1910.09935"},
    keywords=[
        "acoustic scene classification",
        "sound event detection",
        "transfer learning",
        "DCASE",
        "VGGish",
        "YAMNet",
        "TensorFlow",
    ],
    python_requires=">=3.10,<3.14",
    packages=find_packages(include=["crossask", "crossask.*"]),
    package_data={
        "crossask": ["py.typed"],
        "crossask.report": ["templates/*"],
        "crossask.serving": ["starter.npz", "starter.json"],
    },
    data_files=[
        (
            "share/crossask/vggish_assets",
            [
                "vggish_assets/manifest.json",
                "vggish_assets/README.md",
                "vggish_assets/vggish_tags.npz",
            ],
        ),
        ("share/crossask/experiments", EXPERIMENTS),
    ],
    install_requires=CORE,
    extras_require={
        "train": TRAIN,
        "app": APP,
        "beam": [*TRAIN, *BEAM],
        "media": MEDIA,
        "lite": LITE,
        # one more way to get VGGish and YAMNet
        "kaggle": KAGGLE,
        # the page's test in a real browser, which has to be installed, too
        "browser": ["playwright>=1.50"],
        # warm-up requests in exported models
        "serving": SERVING,
        "test": [*TRAIN, *APP, *BEAM, *KAGGLE, *MEDIA, *LITE, *SERVING, *TEST],
        "dev": DEV,
    },
    entry_points={
        "console_scripts": [
            "crossask=crossask.cli.main:main",
            *(f"crossask-{verb}=crossask.cli.{verb}:main" for verb in VERBS),
        ]
    },
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Science/Research",
        "License :: OSI Approved :: Apache Software License",
        "Operating System :: MacOS",
        "Operating System :: Microsoft :: Windows",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Multimedia :: Sound/Audio :: Analysis",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)
