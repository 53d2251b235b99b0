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
EXPERIMENTS = sorted(str(path.relative_to(HERE)) for path in HERE.glob("experiments/*.py"))

setup(
    name="crossask",
    version=VERSION,
    description="Cross-task pre-training for acoustic scene classification",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.13",
    packages=find_packages(include=["crossask", "crossask.*"]),
    package_data={"crossask.report": ["templates/*"]},
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
    install_requires=[
        "tensorflow~=2.20.0",
        "tf-keras~=2.20.0",
        "tensorflow-hub>=0.16.1",
        "tf-models-official~=2.20.0",
        # tensorflow-hub imports pkg_resources, which setuptools 81 deprecates and 84 lacks
        "setuptools<81",
        "librosa>=0.11",
        "soundfile>=0.13",
        "numpy>=1.26",
        "scipy>=1.11",
        "absl-py>=1.4",
        "pandas>=2.1",
        "matplotlib>=3.8",
        "tqdm>=4.66",
        "pooch>=1.8",
        "httpx>=0.27",
        "certifi",
        "h5py>=3.10",
        "pydantic>=2.7",
        "jinja2>=3.1",
    ],
    extras_require={
        "app": ["gradio>=6.31"],
        "beam": ["apache-beam>=2.70"],
        # one more way to get VGGish and YAMNet
        "kaggle": ["kagglehub>=0.3"],
        # the page's test in a real browser, which has to be installed, too
        "browser": ["playwright>=1.50"],
        # warm-up requests in exported models
        "serving": ["tensorflow-serving-api~=2.20.0"],
        "test": [
            "pytest>=8",
            "pytest-xdist>=3.6",
            "soxr>=0.5",
            "scikit-learn>=1.4",
            "apache-beam>=2.70",
            "tensorflow-serving-api~=2.20.0",
            "gradio>=6.31",
            "kagglehub>=0.3",
        ],
        "dev": ["ruff>=0.6"],
    },
    entry_points={
        "console_scripts": [
            "crossask=crossask.cli.main:main",
            *(f"crossask-{verb}=crossask.cli.{verb}:main" for verb in VERBS),
        ]
    },
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3",
        "Topic :: Multimedia :: Sound/Audio :: Analysis",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
