"""Where a data set's files are: the folder given, $CAPSNET_DATA_DIR, the user's cache, then a download."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from capsnet.cache import cache_dir
from capsnet.errors import UserError


def find_files(
    name: str, checksums: Mapping[str, str], mirrors: Sequence[str], data_dir: Path | None = None
) -> dict[str, Path]:
    """Find the files of a data set, or download them to the user's cache.

    A file may also be stored unpacked, without its `.gz`. A folder given by the user must hold all files: nothing is
    downloaded in its place.

    Args:
        name: of the data set, and of its folder.
        checksums: file names and their known `md5:...`.
        mirrors: addresses that end with a slash, tried in order.
        data_dir: folder that holds the data set's folder.

    Returns:
        File names and paths.

    Raises:
        UserError: files missing from the folder given, or a download that fails.
    """
    found = find_stored(name, tuple(checksums), data_dir)
    if found is not None:
        return found
    if data_dir is not None:
        missing = next(file for file in checksums if _stored(data_dir / name / file) is None)
        raise UserError(f"{data_dir / name / missing}: no such file; --data-dir must hold {_layout(name, checksums)}")
    return {file: _download(name, file, checksum, mirrors, checksums) for file, checksum in checksums.items()}


def find_stored(name: str, files: Sequence[str], data_dir: Path | None = None) -> dict[str, Path] | None:
    """Find files of a data set that lie in one place, all of them, or return None; nothing is downloaded.

    Args:
        name: of the data set, and of its folder.
        files: names in that folder; one that ends in `.gz` may lie there unpacked.
        data_dir: folder that holds the data set's folder.
    """
    for folder in data_folders(name, data_dir):
        found = {file: path for file in files if (path := _stored(folder / file)) is not None}
        if len(found) == len(files):
            return found
    return None


def find_folder(name: str, files: Sequence[str], data_dir: Path | None = None) -> Path | None:
    """The folder in which all of these files of a data set lie, or None; nothing is read or downloaded."""
    found = find_stored(name, files, data_dir)
    return None if found is None else found[files[0]].parent


def data_folders(name: str, data_dir: Path | None = None) -> list[Path]:
    """Where a data set's folder may be: in the folder given and nowhere else, or in $CAPSNET_DATA_DIR and the cache."""
    if data_dir is not None:
        return [data_dir / name]
    given = os.environ.get("CAPSNET_DATA_DIR")
    return [Path(root) / name for root in (given, cache_dir()) if root]


def _stored(path: Path) -> Path | None:
    unpacked = path.with_suffix("") if path.suffix == ".gz" else path
    return next((candidate for candidate in (path, unpacked) if candidate.is_file()), None)


def _layout(name: str, checksums: Mapping[str, str]) -> str:
    return f"{name}/" + f", {name}/".join(checksums)


def _download(name: str, file: str, checksum: str, mirrors: Sequence[str], checksums: Mapping[str, str]) -> Path:
    import pooch
    from requests.exceptions import RequestException

    folder = cache_dir() / name
    pooch.get_logger().setLevel("WARNING")
    fault: Exception | None = None
    for mirror in mirrors:
        try:
            return Path(
                pooch.retrieve(mirror + file, checksum, fname=file, path=folder, progressbar=_DownloadBar(file))
            )
        except (RequestException, ValueError, OSError) as error:
            fault = error
    reason = "its checksum is wrong" if isinstance(fault, ValueError) else "no connection"
    raise UserError(
        f"cannot download {mirrors[-1] + file} ({reason}); fetch the files by hand into {folder} "
        f"({', '.join(checksums)}), or name the folder that holds {name}/ with --data-dir"
    ) from fault


class _DownloadBar:
    """A progress bar in the form that pooch asks for."""

    def __init__(self, file: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        columns = (TextColumn(file), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        # in a notebook rich would want ipywidgets; there and in a log, a line at the start and one at the end
        console = Console(stderr=True, force_jupyter=False)
        if not console.is_terminal:
            console.print(f"downloading {file}")
        self._progress = Progress(*columns, console=console)
        self._task = self._progress.add_task(file, total=None)
        self._progress.start()
        self.total = 0

    def update(self, count: int) -> None:
        self._progress.update(self._task, advance=count, total=self.total)

    def reset(self) -> None:
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        self._progress.stop()
