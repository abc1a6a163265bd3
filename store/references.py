"""The reference profile of each model version, where every process of the project finds it.

Training keeps the profile with its run; for a version that somebody else registered, or whose run is on
another machine, it is made from a file of data. A copy in `.workbench/references` is what everybody reads:
the fold, charts and drift tests need no registry and no MLflow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from pathlib import Path
from urllib.parse import quote, unquote

from store.errors import WorkbenchError
from store.files import write_atomically
from store.layout import Layout
from store.profile import PROFILE_FILE, Profile


def reference_path(layout: Layout, model: str, version: int) -> Path:
    """Where the published profile of a version is, or would be."""
    return layout.references / quote(model, safe=" ").replace(".", "%2E") / f"{version}.json"


def publish_reference(layout: Layout, model: str, version: int, profile: Profile) -> Path:
    """Make `profile` the reference of a version; its histograms are counted again over the new bins."""
    path = reference_path(layout, model, version)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        from store.errors import StorageError

        raise StorageError(f"cannot make {path.parent}: {error.strerror}", "Free the disk.") from error
    write_atomically(path, profile.to_json())
    return path


def read_reference(layout: Layout, model: str, version: int) -> Profile | None:
    """The reference of a version; None where none is published. Raises DataError for a damaged one."""
    try:
        return Profile.from_json(reference_path(layout, model, version).read_bytes())
    except FileNotFoundError:
        return None


def published_references(layout: Layout) -> dict[tuple[str, int], Path]:
    """The files of all published profiles, by model and version."""
    found: dict[tuple[str, int], Path] = {}
    for path in layout.references.glob("*/*.json"):
        if path.stem.isdigit():
            found[unquote(path.parent.name), int(path.stem)] = path
    return found


def fingerprint(layout: Layout) -> Hashable:
    """Changes whenever a profile is published, replaced or removed; costs a stat a profile."""
    found = []
    for path in sorted(layout.references.glob("*/*.json")):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        found.append((str(path), status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(found)


def digest(content: bytes) -> str:
    """What tells one published profile from another."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


class RunReferences:
    """Publishes the profiles that training left with its runs, of versions registered in a file store."""

    def __init__(self, layout: Layout, tracking_uri: str) -> None:
        self._layout = layout
        self._tracking_uri = tracking_uri
        self._seen: Hashable = None

    def publish_new(self) -> int:
        """Publish those of versions that have none yet; returns how many. Cheap when nothing was registered.

        Other tracking URIs would need MLflow's client here; their versions get a reference when they are
        trained or loaded, or from a file.
        """
        from store.tracking import is_file_store, open_registry, open_runs

        if not is_file_store(self._tracking_uri):
            return 0
        registry = open_registry(self._tracking_uri, self._layout)
        seen = registry.fingerprint()
        if seen == self._seen:
            return 0
        runs = open_runs(self._tracking_uri)
        published = published_references(self._layout)
        count = 0
        for model in registry.models():
            for version in model.versions:
                if version.run_id is None or (model.name, version.version) in published:
                    continue
                try:
                    content = runs.artifact_path(version.run_id, PROFILE_FILE).read_bytes()
                    publish_reference(self._layout, model.name, version.version, Profile.from_json(content))
                except (WorkbenchError, OSError):
                    continue  # a run that is gone, or that somebody else's script logged without a profile
                count += 1
        self._seen = seen
        return count
