"""Which model versions are prelabel's own, so that its stale predictions can go and nobody else's do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from fbnetv3.weights.folders import STARTER, stored_names
from fbnetv3.weights.zoo import ZOO

VERSION = re.compile(r"(?P<name>.+)-(?P<digest>[0-9a-f]{12})", re.DOTALL)
"""`<name of the weights>-<first 12 hex digits of their content's digest>`, as the detector makes it."""


@dataclass(frozen=True)
class OwnVersions:
    """The versions that have prelabel's form AND carry the name of weights that prelabel knows.

    Deleting cannot be undone, so the form alone does not count: another tool may name its versions after
    commits. `names`: of weights; `declared`: versions that somebody says are prelabel's.
    """

    names: frozenset[str]
    declared: frozenset[str] = frozenset()

    @classmethod
    def known_here(cls, *in_use: str, declared: Iterable[str] = ()) -> OwnVersions:
        """Those of the weights in use, by their versions, of the zoo, and of the weights that this machine
        stores.
        """
        names = {STARTER, *ZOO, *stored_names(), *filter(None, map(_name, in_use))}
        return cls(frozenset(names), frozenset(declared))

    def __contains__(self, version: str | None) -> bool:
        return version in self.declared or _name(version) in self.names

    def lookalikes(self, versions: Iterable[str]) -> list[str]:
        """The versions of prelabel's form under names that it does not know: somebody has to decide."""
        return sorted({version for version in versions if version not in self and has_own_form(version)})


def has_own_form(version: str | None) -> bool:
    """Whether the version has prelabel's form, whoever made it: enough to speak of it, not to delete."""
    return _name(version) is not None


def _name(version: str | None) -> str | None:
    """The name in a version of prelabel's form; None for any other."""
    match = VERSION.fullmatch(version or "")
    return match["name"] if match else None
