"""Find a data set's files: in `data_dir`, or in $CAPSNET_DATA_DIR and the user's cache, else download them."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from capsnet.cache import cache_dir
from capsnet.errors import UserError

if TYPE_CHECKING:
    from requests.exceptions import RequestException


def find_files(
    name: str, checksums: Mapping[str, str], mirrors: Sequence[str], data_dir: Path | None = None
) -> dict[str, Path]:
    """Find the files of a data set, or download them to the user's cache.

    A file may also be stored unpacked, without its `.gz`, or with a dot before `idx`. If `data_dir` is given, it must
    hold all files, and nothing is downloaded.

    Args:
        name: name of the data set and of its folder.
        checksums: file names and their known `md5:...`.
        mirrors: URLs that end with a slash, tried in order.
        data_dir: folder that holds the data set's folder.

    Returns:
        File names and paths.

    Raises:
        UserError: files missing from `data_dir`, or a download that fails.
    """
    paths = find_stored(name, tuple(checksums), data_dir)
    if paths is not None:
        return paths
    if data_dir is not None:
        missing = next(file for file in checksums if _stored(data_dir / name / file) is None)
        if all(_stored(data_dir / file) for file in checksums):
            raise UserError(f"{data_dir} holds the files of {name} itself; move them into the folder {data_dir / name}")
        raise UserError(f"{data_dir / name / missing}: no such file; data_dir must hold {_layout(name, checksums)}")
    return {file: _download(name, file, checksum, mirrors, checksums) for file, checksum in checksums.items()}


def find_stored(name: str, files: Sequence[str], data_dir: Path | None = None) -> dict[str, Path] | None:
    """The paths of a data set's files if all of them lie in one folder, else None; nothing is downloaded.

    Args:
        name: name of the data set and of its folder.
        files: names of the files; one that ends in `.gz` may be stored unpacked.
        data_dir: folder that holds the data set's folder.
    """
    for folder in data_folders(name, data_dir):
        paths = {file: path for file in files if (path := _stored(folder / file)) is not None}
        if len(paths) == len(files):
            return paths
    return None


def find_folder(name: str, files: Sequence[str], data_dir: Path | None = None) -> Path | None:
    """The folder that holds all of these files of a data set, or None; nothing is read or downloaded."""
    paths = find_stored(name, files, data_dir)
    return None if paths is None else paths[files[0]].parent


def data_folders(name: str, data_dir: Path | None = None) -> list[Path]:
    """The folders to search for a data set: in `data_dir` only, or in $CAPSNET_DATA_DIR and the cache."""
    if data_dir is not None:
        return [data_dir / name]
    variable = os.environ.get("CAPSNET_DATA_DIR")
    return [Path(root) / name for root in (variable, cache_dir()) if root]


def _stored(path: Path) -> Path | None:
    # some archives and notebooks write train-images.idx3-ubyte
    names = (path, path.with_name(path.name.replace("-idx", ".idx")))
    candidates = (form for name in names for form in (name, name.with_suffix("") if path.suffix == ".gz" else name))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _layout(name: str, checksums: Mapping[str, str]) -> str:
    return f"{name}/" + f", {name}/".join(checksums)


def _download(name: str, file: str, checksum: str, mirrors: Sequence[str], checksums: Mapping[str, str]) -> Path:
    import pooch
    from requests.exceptions import RequestException

    folder = cache_dir() / name
    pooch.get_logger().setLevel("WARNING")
    reasons: list[str] = []
    for mirror in mirrors:
        bar = _DownloadBar(file)
        try:
            return Path(pooch.retrieve(mirror + file, checksum, fname=file, path=folder, progressbar=bar))
        except RequestException as fault:
            reasons.append(_reason(fault))
        except OSError as fault:
            raise UserError(
                f"{folder / file} cannot be written ({fault.strerror or _line(fault)}); set CAPSNET_CACHE_DIR to a "
                f"folder that can, or name the folder that holds {name}/ as data_dir"
            ) from None
        except ValueError:
            reasons.append("its checksum is wrong")
        finally:
            bar.close()
    others = "; of other mirrors: ".join(dict.fromkeys(reversed(reasons)))
    raise UserError(
        f"cannot download {mirrors[-1] + file} ({others}); fetch the files by hand into {folder} "
        f"({', '.join(checksums)}), or name the folder that holds {name}/ as data_dir"
    )


def _reason(fault: "RequestException") -> str:
    """Why a download failed."""
    from requests.exceptions import ConnectionError as NoConnectionError
    from requests.exceptions import HTTPError, Timeout

    if isinstance(fault, HTTPError) and fault.response is not None:
        return f"the server answers with status {fault.response.status_code}"
    if isinstance(fault, NoConnectionError | Timeout):
        return "no connection"
    return f"the connection broke off: {_line(fault)}"


def _line(fault: Exception) -> str:
    return " ".join(str(fault).split())[:120]


class _DownloadBar:
    """A progress bar with the interface that pooch requires."""

    def __init__(self, file: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        columns = (TextColumn(file), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        # rich needs ipywidgets in a notebook: there and in a log, print one line at the start and one at the end
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
