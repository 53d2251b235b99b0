"""Finds files that are installed beside the package, not in it: experiments, assets."""

import sys
import sysconfig
from pathlib import Path


def places(name: str) -> list[Path]:
    """Returns the paths where a file may be; the first one that exists is used.

    Args:
      name: Path in the source tree, such as "experiments/demo.py".
    """
    folders = [Path(__file__).parents[1]]
    # setup.py installs the files below these folders.
    for base in (sysconfig.get_path("data"), sys.prefix):
        folders.append(Path(base, "share", "crossask"))
    return [folder / name for folder in folders]
