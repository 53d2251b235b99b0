"""A walk through a folder and all folders below it, which follows links and comes to an end."""

import os
from collections.abc import Iterator
from pathlib import Path


class FolderWalk:
    """A folder and the folders below it, each of them once.

    Hidden folders are left out by default. Links are followed after all other folders, so a folder
    that is there itself has its own path.

    Attributes:
      hidden: Folders whose names start with a dot and that are left out, as far as the walk has
        come.
      repeated: Further paths of folders that were searched, such as links that form a circle.
      unreadable: Folders that this user may not read.
    """

    def __init__(self, top: str | Path, enters_hidden: bool = False):
        """Stores the arguments.

        Args:
          top: The folder at which the walk starts.
          enters_hidden: Whether folders whose names start with a dot are searched, too.
        """
        self.hidden: list[Path] = []
        self.repeated: list[Path] = []
        self.unreadable: list[Path] = []
        self._top = os.fspath(top)
        self._enters_hidden = enters_hidden

    def __iter__(self) -> Iterator[tuple[str, list[str]]]:
        """Yields the path of each folder, and the names of the files in it."""
        searched = set()
        waiting = [self._top]
        while waiting:
            links: list[str] = []
            for start in waiting:
                for folder, subfolders, names in os.walk(start, onerror=self._add_unreadable):
                    # A link may lead to a folder above those that were searched.
                    place = os.path.realpath(folder)
                    if place in searched:
                        self.repeated.append(Path(folder))
                        subfolders.clear()
                        continue
                    searched.add(place)
                    # os.walk enters the folders that are left in its list.
                    subfolders[:] = self._without_links(folder, subfolders, links)
                    yield folder, names
            waiting = sorted(links, key=Path)

    def _without_links(self, folder: str, subfolders: list[str], links: list[str]) -> list[str]:
        """Returns the names of the subfolders to enter; adds links to `links`."""
        entered = []
        for name in sorted(subfolders):
            path = os.path.join(folder, name)
            if name.startswith(".") and not self._enters_hidden:
                self.hidden.append(Path(path))
            elif os.path.islink(path):
                links.append(path)
            else:
                entered.append(name)
        return entered

    def _add_unreadable(self, error: OSError) -> None:
        # A folder may have been removed since it was listed.
        if not isinstance(error, FileNotFoundError):
            self.unreadable.append(Path(error.filename))
