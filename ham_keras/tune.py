"""Search for the settings that give the best validation Jaccard.

    python -m ham_keras.tune configs/tune.json --dry-run
    python -m ham_keras.tune configs/tune.json data.root=HAM10000
    python -m ham_keras.train runs/tune/best_config.json

The same command continues a search that was interrupted. With KERASTUNER_TUNER_ID, KERASTUNER_ORACLE_IP and
KERASTUNER_ORACLE_PORT several processes share one search, see docs/how-to/tune.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from ham_keras.config import load_config_as
from ham_keras.errors import program, run_command
from ham_keras.reference.schema import json_schema
from ham_keras.reference.tables import settings_tables
from ham_keras.runs import with_data_root
from ham_keras.search.folder import SearchFolder, open_search, role
from ham_keras.search.space import TuneConfig, check_space, describe_search


def tune(config: TuneConfig, *, overwrite: bool = False) -> SearchFolder:
    """Run trials until the search's algorithm is done; write leaderboard, pictures and best_config.json.

    An unfinished search of the same config continues. A worker (see `search.folder.role`) runs trials and leaves the
    rest to its chief.

    Raises:
        HamError: a user's fault in config or data, or no trial completed.
    """
    check_space(config)
    config = with_data_root(config)
    from ham_keras.search.leaderboard import print_leaderboard, read_leaderboard, save_leaderboard
    from ham_keras.search.running import run_search, save_best

    with open_search(config, overwrite=overwrite) as search:
        if search.best_config.exists():
            print(f"{search.folder} is finished; --overwrite searches again")
        else:
            run_search(config, search)
            if role() == "worker":
                print(f"{search.folder}: no more trials; the chief writes the results")
                return search
            save_best(config, search, save_leaderboard(search, config))
        print_leaderboard(read_leaderboard(search, config), config)
        print(f"\ntrain the best: python -m ham_keras.train {search.best_config}")
    return search


def search_reference() -> str:
    """The keys that a search's config has besides a run's, as Markdown."""
    return (
        "# Config of a search\n\nWritten by `python -m ham_keras.tune --reference`: what a search's config has besides "
        "the keys of [a run's](config.md).\n\n"
        + settings_tables(json.loads(json_schema(TuneConfig)), leave_out=json.loads(json_schema())["properties"])
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog=program("tune"), description="Search for the settings with the best validation Jaccard."
    )
    parser.add_argument("config", nargs="?", help="a search's config, e.g. configs/tune.json, or tune")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value", help="settings laid over the config's")
    parser.add_argument("--overwrite", action="store_true", help="delete a search of this name and start again")
    parser.add_argument("--dry-run", action="store_true", help="list space and trials, needs no data")
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of a search's config files")
    parser.add_argument("--reference", action="store_true", help="print its keys as Markdown tables")
    args = parser.parse_intermixed_args(argv)
    if args.schema or args.reference:
        print(json_schema(TuneConfig) if args.schema else search_reference(), end="")
        return 0
    if args.config is None:
        parser.error("name a config file, --schema or --reference")
    config = load_config_as(TuneConfig, args.config, args.overrides)
    for override in args.overrides:
        print(f"override: {override}")
    if args.dry_run:
        check_space(config)
        print(describe_search(config))
        for key, values in config.space.items():
            print(f"  {key}: {values}")
        return 0
    tune(config, overwrite=args.overwrite)
    return 0


if __name__ == "__main__":
    run_command(main)
