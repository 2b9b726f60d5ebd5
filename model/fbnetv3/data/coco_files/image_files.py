"""The image files of a data set, found below one folder by the names that its records have."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fbnetv3.data.coco_files.image_names import end, normal, parts, readings, without_prefix

Steps = tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """Where an image is: `file`, below the folder, with `/`; None where it was not found, and `why`.

    `is_literal`: the record names this very file; otherwise it is the only one whose name ends alike.
    """

    file: str | None
    is_literal: bool = False
    why: str = ""


class ImageFiles:
    """Finds files below `folder` and nowhere else, whatever a name says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, name: str) -> Found:
        """First the name's readings as paths; then the longest end of one that a single file has."""
        paths = readings(name)
        for path in paths:
            steps = parts(path)
            if steps and self._is_file(steps):
                return Found("/".join(steps), is_literal=True)
        several: list[str] = []
        for same in (_exactly, _but_for_case):
            for steps in _ends(paths):
                matches = self._ending(steps, same)
                if len(matches) == 1:
                    return Found(matches[0])
                several = several or matches
        return Found(None, why=self._why(paths, several))

    def _is_file(self, steps: Steps) -> bool:
        try:
            return self.folder.joinpath(*steps).is_file()
        except (OSError, ValueError):
            return False

    def _ending(self, steps: Steps, same: Callable[[str], str]) -> list[str]:
        """Files of this last name, those that share more of the path's end where some do."""
        wanted = [same(step) for step in steps]
        found = self._by_name[same].get(wanted[-1], [])
        while len(found) > 1 and len(wanted) > 1:
            longer = [file for file in found if [same(one) for one in file[-len(wanted) :]] == wanted]
            if longer:
                found = longer
                break
            wanted.pop(0)
        return ["/".join(file) for file in found]

    @cached_property
    def _by_name(self) -> dict[Callable[[str], str], dict[str, list[Steps]]]:
        index: dict[Callable[[str], str], dict[str, list[Steps]]] = {
            _exactly: defaultdict(list),
            _but_for_case: defaultdict(list),
        }
        for folder, folders, names in os.walk(self.folder):
            folders.sort()
            above = Path(folder).relative_to(self.folder).parts
            for name in sorted(names):
                for same, files in index.items():
                    files[same(name)].append((*above, name))
        return index

    def _why(self, paths: list[str], several: list[str]) -> str:
        if several:
            return f"{len(several)} files below {self.folder} have its name: {', '.join(several[:3])}"
        if not self.folder.is_dir():
            return f"there is no folder {self.folder}"
        tried = [str(self.folder.joinpath(*steps)) for path in paths if (steps := parts(path))]
        names = dict.fromkeys(steps[-1] for steps in _ends(paths))
        everywhere = f"any file called {' or '.join(names)} below {self.folder}"
        return f"cannot read it: tried {', '.join([*dict.fromkeys(tried), everywhere])}"


def _exactly(name: str) -> str:
    return normal(name)


def _but_for_case(name: str) -> str:
    return normal(name).casefold()


def _ends(paths: Iterable[str]) -> list[Steps]:
    """The paths' ends without what leads outside, then the same without Label Studio's prefix."""
    ends = [steps for path in paths if (steps := end(path))]
    bare = [(*steps[:-1], without_prefix(steps[-1])) for steps in ends]
    return list(dict.fromkeys([*ends, *bare]))
