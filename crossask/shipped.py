"""Finds files that come with the package, but are not inside it: experiments, assets."""

import sys
import sysconfig
from pathlib import Path


def places(name: str) -> list[Path]:
    """Returns where a file may be, the first one that exists counts.

    Args:
      name: Path in the source tree, such as "experiments/demo.py".
    """
    folders = [Path(__file__).parents[1]]
    # setup.py installs the files below these folders.
    for base in (sysconfig.get_path("data"), sys.prefix):
        folders.append(Path(base, "share", "crossask"))
    return [folder / name for folder in folders]
