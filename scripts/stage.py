"""What a training run needs, in parts that are small enough to be brought to a lent machine one by one.

.venv/bin/python scripts/stage.py pack config/recipes/small-gpu.yaml     # here: writes work/stage/part-00, part-01, ...
python3 scripts/stage.py unpack                                          # there: puts them together in work/staged

Packed are the recipe, its manifests, the archives or pictures that these name, and the weights that it starts from.
Each part holds an index with the hashes of all of them, so that `unpack` says which are still missing. It needs nothing
but the standard library.
"""

import argparse
import hashlib
import io
import json
import os
import shutil
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from facial_attributes_training.manifest import Manifest
    from facial_attributes_training.recipe import DataSetRecipe, Recipe

INDEX, DATA = "index.json", "data"
RECIPE: Final = "recipe.yaml"
PART_MIB: Final = 52
STAGE, STAGED = Path("work/stage"), Path("work/staged")
_BLOCK: Final = 1 << 20


class StageError(Exception):
    """A mistake that is told in one sentence."""


def main() -> int:
    """Pack or unpack; return 0, or 2 after a mistake told in one sentence."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    packing = steps.add_parser("pack", help="write the parts of what a recipe needs")
    packing.add_argument("recipe", type=Path)
    packing.add_argument("--out", type=Path, default=STAGE, help="folder for the parts (default: %(default)s)")
    packing.add_argument("--at", type=Path, default=STAGED, help="where it will be unpacked (default: %(default)s)")
    packing.add_argument("--mib", type=float, default=PART_MIB, help="largest size of a part (default: %(default)s)")
    unpacking = steps.add_parser("unpack", help="put the parts together")
    unpacking.add_argument("parts", type=Path, nargs="?", default=STAGE, help="their folder (default: %(default)s)")
    unpacking.add_argument("--to", type=Path, default=STAGED, help="where to (default: %(default)s)")
    args = parser.parse_args()
    try:
        if args.step == "pack":
            parts = pack(args.recipe, args.out, args.at, round(args.mib * _BLOCK))
            _say(f"{args.out} has {parts} parts; bring them one by one and run: stage.py unpack {args.out}")
        else:
            unpack(args.parts, args.to)
            _say(f"{args.to / RECIPE} is ready; set FACIAL_ATTRIBUTES_ASSETS={args.to} before training.")
    except StageError as error:
        _say(f"stage: {error}")
        return 2
    return 0


def pack(recipe_file: Path, out: Path, at: Path, limit: int) -> int:
    """Write the parts of everything that a recipe needs, and return how many there are.

    Args:
        recipe_file: YAML.
        out: folder for the parts; parts of before are removed.
        at: where the parts will be unpacked, as the staged recipe is to name it.
        limit: bytes of a part.

    Raises:
        StageError: the recipe, a manifest or a file that it names can't be read.
    """
    from facial_attributes_ros.errors import UserError

    try:
        return _pack(recipe_file, out, at, limit)
    except UserError as error:
        raise StageError(str(error)) from error
    except OSError as error:
        raise StageError(f"{error.filename} can't be packed: {error.strerror}.") from error


def _pack(recipe_file: Path, out: Path, at: Path, limit: int) -> int:
    from facial_attributes_training.recipe_file import read_recipe

    recipe = read_recipe(recipe_file)
    for old in out.glob("part-*"):
        shutil.rmtree(old)
    writer = _PartWriter(out, limit)
    with tarfile.open(fileobj=writer, mode="w|") as archive:
        packer = _Packer(archive)
        changed = {
            kind: [_staged_set(packer, wanted, f"{kind}-{number}.csv", at) for number, wanted in enumerate(sets)]
            for kind, sets in (
                ("train", recipe.data.train),
                ("validation", recipe.data.validation),
                ("test", recipe.data.test),
            )
        }
        staged = recipe.model_dump(mode="json")
        staged["data"] |= changed
        staged["backbone"] |= _staged_weights(packer, recipe, at)
        packer.add_text(RECIPE, json.dumps(staged, indent=1) + "\n")
    return writer.finish()


def unpack(parts: Path, target: Path) -> None:
    """Check the parts, put them together, and make the training package importable from `build/site`.

    Raises:
        StageError: parts are missing or damaged.
    """
    folders = sorted(parts.glob("part-*"))
    if not folders:
        raise StageError(f"there are no parts in {parts}; pack them first.")
    hashes = json.loads((folders[0] / INDEX).read_text(encoding="utf-8"))["sha256"]
    files = [parts / f"part-{number:02}" / DATA for number in range(len(hashes))]
    if missing := [file.parent.name for file in files if not file.is_file()]:
        raise StageError(f"{', '.join(missing)} of {len(files)} parts are not here yet.")
    for file, expected in zip(files, hashes, strict=True):
        if _sha256(file) != expected:
            raise StageError(f"{file} is not what was packed; bring it again.")
    target.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=_PartReader(files), mode="r|") as archive:
        archive.extractall(target, filter="data")
    root = Path(__file__).resolve().parent.parent
    site = root / "build" / "site"
    site.mkdir(parents=True, exist_ok=True)
    if not (site / "facial_attributes_training").exists():
        (site / "facial_attributes_training").symlink_to(os.path.relpath(root / "training", site))


class _Packer:
    """Adds files to an archive, each once, under names of their own."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self._names: dict[str, str] = {}

    def add(self, path: str, folder: str) -> str:
        """Add a file and return its name in the archive; a file that is there already keeps its name."""
        if path not in self._names:
            name = Path(path).name
            while f"{folder}/{name}" in self._names.values():
                name = f"{len(self._names)}-{name}"
            self._names[path] = f"{folder}/{name}" if folder else name
            self._archive.add(path, self._names[path], recursive=False, filter=_anonymous)
        return self._names[path]

    def add_text(self, name: str, text: str) -> None:
        data = text.encode()
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        self._archive.addfile(entry, io.BytesIO(data))


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o644
    return entry


def _staged_set(packer: _Packer, wanted: "DataSetRecipe", name: str, at: Path) -> dict[str, Any]:
    """Pack a data set's manifest and pictures, and return its part of the staged recipe."""
    from tempfile import TemporaryDirectory

    from facial_attributes_training.manifest import read_manifest, write_manifest

    manifest = read_manifest(wanted.manifest)
    with TemporaryDirectory() as folder:
        file = Path(folder) / name
        write_manifest(file, _moved(packer, manifest, Path(folder)))
        packer.add(str(file), "")
    return wanted.model_dump(mode="json") | {"manifest": (at / name).as_posix()}


def _moved(packer: _Packer, manifest: "Manifest", folder: Path) -> "Manifest":
    """Pack a manifest's pictures and return it with their staged paths."""
    from dataclasses import replace

    import numpy as np
    from facial_attributes_training.archive import split_member

    paths = []
    for path in manifest.paths.tolist():
        archive, member = split_member(path) or (path, "")
        staged = packer.add(archive, "pictures")
        paths.append(f"{folder / staged}{'#' if member else ''}{member}")
    return replace(manifest, paths=np.array(paths))


def _staged_weights(packer: _Packer, recipe: "Recipe", at: Path) -> dict[str, str]:
    """Pack what the backbone starts from, and return the fields of the staged recipe that name it."""
    from facial_attributes_ros.assets import asset
    from facial_attributes_ros.models.registry import NAMES
    from facial_attributes_ros.models.spec import is_hub_reference

    weights, start = recipe.backbone.weights, recipe.backbone.start
    changed = {}
    if weights == "asset":
        packer.add(str(asset(recipe.backbone.name)), "")
    elif is_hub_reference(weights):
        raise StageError(f"backbone.weights {weights} would be fetched, which a lent machine can't: give a file.")
    elif weights is not None:
        changed["weights"] = (at / packer.add(weights, "weights")).as_posix()
    if start is not None and start not in NAMES:
        if not start.endswith(".pt"):
            raise StageError(f"backbone.start {start} is a folder; name a checkpoint (….pt) or a shipped model.")
        changed["start"] = (at / packer.add(start, "weights")).as_posix()
    return changed


class _PartWriter(io.RawIOBase):
    """A stream that is cut into parts of a limited size."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit, self._left = folder, limit, 0
        self._hashes: list[str] = []
        self._file: Any = None

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data)
        for start in self._cuts(len(view)):
            chunk = view[start : start + self._left]
            self._file.write(chunk)
            self._left -= len(chunk)
        return len(view)

    def finish(self) -> int:
        """Close the last part, write the index into every part, and return how many there are."""
        self._close_part()
        index = json.dumps({"sha256": self._hashes}, indent=1) + "\n"
        for number in range(len(self._hashes)):
            (self._part(number) / INDEX).write_text(index, encoding="utf-8")
        return len(self._hashes)

    def _cuts(self, size: int) -> Iterator[int]:
        """Yield where to begin each chunk, with a part open that has room for some of it."""
        place = 0
        while place < size:
            if not self._left:
                self._close_part()
                self._file = (self._part(len(self._hashes)) / DATA).open("wb")
                self._left = self._limit
            room = self._left
            yield place
            place += room

    def _part(self, number: int) -> Path:
        folder = self._folder / f"part-{number:02}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _close_part(self) -> None:
        if self._file is not None:
            self._file.close()
            self._hashes.append(_sha256(Path(self._file.name)))
            self._file = None


class _PartReader(io.RawIOBase):
    """Parts as one stream."""

    def __init__(self, files: list[Path]) -> None:
        self._files = iter(files)
        self._file: Any = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            if self._file is None:
                following = next(self._files, None)
                if following is None:
                    return 0
                self._file = following.open("rb")
            if count := self._file.readinto(buffer):
                return int(count)
            self._file.close()
            self._file = None


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
