"""Splink 5 on DuckDB, set up as its documentation advises: `SUBJECTS SELLERS HITS`.

Names by Jaro-Winkler on sorted words with term frequencies, identifiers as arrays, birth date,
country and address; blocking on every identifier, on birth date, and on the beginning of the name.
Parameters are estimated on the data: u by random pairs, m by expectation maximisation.
"""

from __future__ import annotations

import logging
import sys

import pyarrow as pa
import splink.comparison_library as cl
from preparation import LISTS, read, write
from splink import DuckDBAPI, Linker, SettingsCreator, block_on


def table(path: str) -> pa.Table:
    """Accounts as a table for Splink: null where nothing is known."""
    rows = []
    for row in read(path):
        flat = {"id": row["id"], "dob": row["birth_date"] or None}
        flat |= {field: row[field] or None for field in LISTS}
        flat["name"] = row["names"][0] if row["names"] else None
        flat["head"] = flat["name"][:6] if flat["name"] else None
        flat["country"] = row["country"][0] if row["country"] else None
        flat["address"] = row["address"][0].lower() if row["address"] else None
        rows.append(flat)
    lists = pa.list_(pa.string())
    schema = pa.schema(
        [(name, pa.string()) for name in ("id", "dob", "name", "head", "country", "address")]
        + [(field, lists) for field in LISTS]
    )
    return pa.Table.from_pylist(rows, schema=schema)


def run(subjects_path: str, sellers_path: str, hits_path: str) -> None:
    """Match two files."""
    logging.getLogger("splink").setLevel(logging.ERROR)
    database = DuckDBAPI()
    sellers, subjects = table(sellers_path), table(subjects_path)
    known = [field for field in LISTS if subjects[field].null_count < len(subjects)]
    left = database.register(sellers, dataset_display_name="sellers")
    right = database.register(subjects, dataset_display_name="subjects")

    def exploded(column: str) -> object:
        return block_on(column, arrays_to_explode=[column])

    linker = Linker(
        [left, right],
        SettingsCreator(
            link_type="link_only",
            unique_id_column_name="id",
            comparisons=[
                cl.JaroWinklerAtThresholds("name", [0.95, 0.88]).configure(
                    term_frequency_adjustments=True
                ),
                *[cl.ArrayIntersectAtSizes(field, [1]) for field in known],
                cl.DateOfBirthComparison("dob", input_is_string=True),
                cl.ExactMatch("country"),
                cl.JaroWinklerAtThresholds("address", [0.95, 0.85]),
            ],
            blocking_rules_to_generate_predictions=[
                *[exploded(field) for field in known],
                block_on("dob"),
                block_on("head", "country"),
            ],
        ),
    )
    sure = [exploded(field) for field in ("email", "bank_account") if field in known]
    linker.training.estimate_probability_two_random_records_match(
        sure or [block_on("name", "dob")], recall=0.5
    )
    linker.training.estimate_u_using_random_sampling(max_pairs=5e6, seed=1)
    linker.training.estimate_parameters_using_expectation_maximisation(block_on("head", "country"))
    linker.training.estimate_parameters_using_expectation_maximisation(block_on("dob"))
    found = linker.inference.predict(threshold_match_probability=0.05).as_pyarrow_table()
    hits = []
    for row in found.select(["source_dataset_l", "id_l", "id_r", "match_weight"]).to_pylist():
        pair = (row["id_l"], row["id_r"])
        if row["source_dataset_l"] != "sellers":
            pair = pair[::-1]
        hits.append((*pair, row["match_weight"]))
    write(hits_path, hits)


if __name__ == "__main__":
    run(*sys.argv[1:4])
