"""Where a project keeps its things on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from store.errors import StorageError

SETTINGS_FILE = "workbench.toml"


@dataclass(frozen=True)
class Layout:
    """The paths of one project: `root` holds `workbench.toml`, `state` is `.workbench` by default."""

    root: Path
    state: Path

    @classmethod
    def of(cls, root: Path, store_path: str = ".workbench") -> Layout:
        """Layout of the project at `root`; `store_path` may be relative to it or absolute."""
        root = root.resolve()
        return cls(root=root, state=(root / store_path).resolve())

    @property
    def predictions(self) -> Path:
        """The DuckDB file."""
        return self.state / "predictions.duckdb"

    @property
    def spool(self) -> Path:
        return self.state / "spool"

    @property
    def archive(self) -> Path:
        return self.state / "archive"

    @property
    def references(self) -> Path:
        """Published reference profiles of model versions."""
        return self.state / "references"

    @property
    def index_db(self) -> Path:
        """The run index: a cache."""
        return self.state / "index.sqlite"

    @property
    def state_db(self) -> Path:
        """Jobs, ledger, alerts, trust and key hashes: never deleted."""
        return self.state / "state.sqlite"

    @property
    def journal(self) -> Path:
        return self.state / "journal.jsonl"

    @property
    def data(self) -> Path:
        """Content-addressed copies of data files."""
        return self.state / "data"

    @property
    def jobs(self) -> Path:
        return self.state / "jobs"

    @property
    def run(self) -> Path:
        """Locks, pids and ports of what is running."""
        return self.state / "run"

    def ensure(self) -> Layout:
        """Create the folders; raises StorageError where that is refused."""
        try:
            for folder in (self.state, self.spool, self.jobs, self.run):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"cannot write to {error.filename or self.state}: {error.strerror}",
                "Free the disk, mend the permissions or set [store] path to a folder that can be written.",
            ) from error
        return self
