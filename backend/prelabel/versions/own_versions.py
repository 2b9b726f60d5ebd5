"""Which model versions are prelabel's own, so that its stale predictions can go and nobody else's do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from fbnetv3.weights.folders import STARTER, stored_names
from fbnetv3.weights.zoo import ZOO
from prelabel.labelstudio.api.backends import AttachedBackend, recorded_versions
from prelabel.settings import Settings
from prelabel.store.database import Database
from prelabel.store.provisional import given_names, is_provisional
from prelabel.store.versions import NAME, project_versions
from prelabel.versions.loading import chosen_weights

WEIGHTS_VERSION = re.compile(r"(?P<name>.+)-(?P<digest>[0-9a-f]{12})", re.DOTALL)
"""`<name of the weights>-<first 12 hex digits of their content's digest>`, as the detector makes it."""


@dataclass(frozen=True)
class OwnVersions:
    """The versions that have prelabel's form AND carry the name of weights that prelabel knows.

    Deleting cannot be undone, so the form alone does not count: another tool may name its versions after
    commits. `names`: of weights; `declared`: versions that the store or somebody says are prelabel's.
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

    @classmethod
    def of_project(
        cls,
        settings: Settings,
        database: Database,
        project_id: int,
        backends: Iterable[AttachedBackend],
        *in_use: str,
        declared: Iterable[str] = (),
    ) -> OwnVersions:
        """Those known here, of the settings' weights, the project's in the store, and on record with its backends."""
        stored = [version.name for version in project_versions(database, project_id)]
        stored += given_names(database, project_id)
        own = cls.known_here(*in_use, declared=[*stored, *recorded_versions(backends), *declared])
        return replace(own, names=own.names | {Path(chosen_weights(settings)).stem})

    def __contains__(self, version: str | None) -> bool:
        return version in self.declared or _name(version) in self.names

    def lookalikes(self, versions: Iterable[str]) -> list[str]:
        """The versions of prelabel's form under names that it does not know: somebody has to decide."""
        return sorted({version for version in versions if version not in self and has_own_form(version)})


def has_own_form(version: str | None) -> bool:
    """Whether the version has prelabel's form, made by anybody: enough to speak of it, not to delete."""
    is_numbered = NAME.fullmatch(version or "") is not None or is_provisional(version)
    return is_numbered or _name(version) is not None


def _name(version: str | None) -> str | None:
    """The name in a version of prelabel's form; None for any other."""
    match = WEIGHTS_VERSION.fullmatch(version or "")
    return match["name"] if match else None
