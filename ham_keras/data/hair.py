"""Show photographs before and after hair removal.

    python -m ham_keras.data.hair photos/                   # hair.png: before, what is found, after
    python -m ham_keras.data.hair photos/ --limit 12 -o sheet.png

The removal is that of data.hair_removal=inpaint. It also changes skin lines and pigment that it takes for hair: look
before you train with it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from ham_keras.data.folders import is_image_file, looks_like_mask, walk_files
from ham_keras.errors import HamError, program, run_command, shown
from ham_keras.files.outputs import PICTURES, check_output


def save_hair_sheet(inputs: Sequence[Path | str], output: Path | str, *, limit: int = 8) -> dict[Path, float]:
    """Write a sheet of the first `limit` photographs in `inputs`, files or folders: before, found, after.

    Args:
        output: a PNG or JPEG, by its suffix.

    Returns:
        The fraction of each photograph that is replaced.

    Raises:
        HamError: an input contains no photograph, one cannot be read, or the sheet cannot be written there.
    """
    from ham_keras.data.inspection.hair_sheet import draw_hair_sheet

    check_output(Path(output), _photographs(inputs), PICTURES)
    chosen = [path for _, path in zip(range(limit), _photographs(inputs), strict=False)]
    return draw_hair_sheet(chosen, Path(output))


def _photographs(inputs: Sequence[Path | str]) -> Iterator[Path]:
    for path in map(Path, inputs):
        if not path.is_dir():
            yield path
            continue
        photographs = (file for file in walk_files(path) if is_image_file(file) and not looks_like_mask(file))
        first = next(photographs, None)
        if first is None:
            raise HamError(f"{path}: no photograph found; expected photographs, or folders of them")
        yield first
        yield from photographs


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        program("data.hair"), description="Show photographs before and after hair removal."
    )
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="photographs, or folders of them")
    parser.add_argument("-o", "--output", default="hair.png", metavar="FILE", help="the sheet (default: %(default)s)")
    parser.add_argument("--limit", type=int, default=8, metavar="N", help="of photographs (default: %(default)s)")
    args = parser.parse_args(argv)
    if args.limit < 1:
        raise HamError(f"--limit: expected at least 1, got {args.limit}")
    for path, fraction in save_hair_sheet(args.inputs, args.output, limit=args.limit).items():
        print(f"{shown(path)}: {fraction:.1%} replaced")
    print(shown(args.output))
    return 0


if __name__ == "__main__":
    run_command(main)
