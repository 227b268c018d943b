"""nomenklatura with logic-v2 and its own index: `SUBJECTS SELLERS HITS`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import polars as pl
from followthemoney import Dataset, StatementEntity
from nomenklatura.blocker import Index
from nomenklatura.db import make_session
from nomenklatura.matching import LogicV2
from nomenklatura.resolver import Resolver
from nomenklatura.store import MemoryStore
from preparation import write

PROPERTIES = {
    "name": "name",
    "alias": "alias",
    "email": "email",
    "phone": "phone",
    "address": "address",
    "country": "country",
    "tax_id": "taxNumber",
    "registration_no": "registrationNumber",
    "id_document": "idNumber",
    "website": "website",
    "birth_date": "birthDate",
}
CANDIDATES = 10


def entity(dataset: Dataset, row: dict[str, object], prefix: str) -> StatementEntity:
    """An account as an entity; ids differ between the files, for names are cached by id."""
    schema = "Person" if row["kind"] == "person" else "LegalEntity"
    made = StatementEntity.from_data(
        dataset, {"id": f"{prefix}{row['id']}", "schema": schema, "properties": {}}
    )
    for field, name in PROPERTIES.items():
        values = row[field] if isinstance(row[field], list) else [row[field]]
        if name == "birthDate" and schema != "Person":
            continue
        for value in values:
            if value:
                made.add(name, value.split(":")[-1] if "_" in field else value, cleaned=False)
    return made


def run(subjects_path: str, sellers_path: str, hits_path: str) -> None:
    """Match two files."""
    hits = []
    with make_session("sqlite:///:memory:") as session, tempfile.TemporaryDirectory() as folder:
        dataset = Dataset.make({"name": "subjects", "title": "subjects"})
        store = MemoryStore(dataset, Resolver[StatementEntity](session, create=True))
        with store.writer() as writer:
            for row in pl.read_parquet(subjects_path).to_dicts():
                writer.add_entity(entity(dataset, row, "subject:"))
        view = store.default_view()
        index = Index(view, Path(folder), options={"max_candidates": CANDIDATES})
        index.build()
        config = LogicV2.default_config()
        sellers = {}
        for row in pl.read_parquet(sellers_path).to_dicts():
            seller = entity(dataset, row, "seller:")
            sellers[seller.id] = seller
        for ident, candidates in index.match_entities(sellers.values()):
            for candidate, _ in candidates:
                subject = view.get_entity(candidate.id)
                score = LogicV2.compare(sellers[ident.id], subject, config).score
                if score > 0:
                    hits.append(
                        (
                            ident.id.removeprefix("seller:"),
                            candidate.id.removeprefix("subject:"),
                            score,
                        )
                    )
    write(hits_path, hits)


if __name__ == "__main__":
    run(*sys.argv[1:4])
