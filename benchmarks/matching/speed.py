"""Speed of `acx match` end to end, with the recall it reaches: files in, HITS out, one process.

Data: ordinary sellers, of whom 5 % are come-backs of as many ordinary reported accounts.
Bars: 100,000 x 100,000 <= 5 s; 1,000,000 x 1,000,000 <= 60 s and <= 4 GB on 2 cores.
Peer, as measured elsewhere without reading files: Splink 5 takes 4 s, and 107 s with 7.7 GB.
`python -m benchmarks.matching.speed 1000000` measures another size than the default.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Final

import polars as pl

from acx.demo.accounts import as_frame, by_row
from acx.demo.comebacks import come_backs
from acx.demo.sellers import ordinary
from benchmarks.matching import scoring
from benchmarks.matching.contenders import run_process
from benchmarks.matching.data import BUILD, Labelled, truth_of

DEFAULT: Final = 100_000
SHARE: Final = 0.05
SEED: Final = 500


def run(rows: int) -> None:
    """Measure at a size, from Parquet and from CSV."""
    data = labelled_rows(rows)
    for suffix in ("parquet", "csv"):
        out = data.folder / f"hits-cli.{suffix}"
        files = [data.folder / f"{name}.{suffix}" for name in ("sellers", "subjects")]
        command = [str(Path(sys.executable).with_name("acx")), "match", str(files[0])]
        cost = run_process(
            [*command, "--against", str(files[1]), "--out", str(out)],
            data.folder / "acx.log",
        )
        hits = pl.read_parquet(out) if suffix == "parquet" else pl.read_csv(out)
        judged = scoring.judged(hits.rename({"probability": "score"}), data)
        curve = scoring.curve(judged, len(data.truth))
        recalls = " / ".join(f"{curve.recall_at(p):.3f}" for p in scoring.PRECISIONS)
        precision, recall = scoring.at_level(judged, "strong", len(data.truth))
        print(
            f"{rows:,} x {rows:,} from {suffix}: {cost.seconds:.1f} s ({cost.processors:.1f} of "
            f"processors), {cost.megabytes:.0f} MB; recall at "
            f"precision .99/.97/.95: {recalls}; strong: precision {precision:.4f}, "
            f"recall {recall:.4f}"
        )


def labelled_rows(rows: int) -> Labelled:
    """Make the files of a size, or find them made."""
    folder = BUILD / f"speed-{rows}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        returning = round(SHARE * rows)
        subjects = ordinary(rows, SEED, prefix="subject-", domains="real")
        known = [
            each
            for each in by_row(subjects.head(4 * returning))
            if each.bank_account or each.email or each.phone
        ]
        back = come_backs(known, returning, SEED + 1, prefix="back-", domains="real")
        others = ordinary(rows - returning, SEED + 2, prefix="seller-", domains="real")
        sellers = pl.concat([as_frame(each.account for each in back), others]).sample(
            fraction=1, shuffle=True, seed=SEED
        )
        for name, frame in {"subjects": subjects, "sellers": sellers}.items():
            frame.write_parquet(folder / f"{name}.parquet")
            frame.with_columns(
                pl.col(pl.List(pl.String))
                .list.eval(pl.element().str.replace_all("|", r"\|", literal=True))
                .list.join("|")
            ).write_csv(folder / f"{name}.csv")
        truth_of(back).write_parquet(folder / "truth.parquet")
        subjects.select(subject_id="id", actor="id").write_parquet(folder / "actors.parquet")
        (folder / "complete").touch()
    return Labelled(folder)


def main() -> None:
    """Measure at 100,000 rows a side."""
    run(DEFAULT)


if __name__ == "__main__":
    run(int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT)
