"""The tables.

Nothing here says who posted an event: no address, no member beside an event, no time finer than the
hour. No event stands in the clear: `entries` holds ciphertexts, `event_keys` their keys, and
destroying a key erases the event in every copy.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

# SQLite makes only an INTEGER primary key its row number.
_PLACE: Final = BigInteger().with_variant(Integer, "sqlite")
_HOUR: Final = String(14)
_ID: Final = String(26)
_KEY: Final = String(44)

VERSION: Final = "0006"
"""Of these tables: the last of `migrations.versions`."""

metadata: Final = MetaData()

members: Final = Table(
    "members",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("name", String(128), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("member_key", _KEY, nullable=False, unique=True),
    Column("token_hash", LargeBinary(32), nullable=False, unique=True),
    Column("terms", String(64), nullable=False),
    Column("joined", _HOUR, nullable=False),
    Column("criteria", String(128), nullable=False, server_default=""),
    # Keyed: whoever reads the rows alone learns no company's name from it.
    Column("group_digest", LargeBinary(32)),
    # To the secret that its tags are made of; hides it from everybody, for good.
    Column("commitment", LargeBinary(33)),
    # When it last got a new wallet.
    Column("reenrolled", _HOUR),
    # The signed request by which it joined, terms and all.
    Column("acceptance", Text),
    # Numbers of the registered marks that two operators have verified.
    Column("marks", Text, nullable=False, server_default=""),
)

invites: Final = Table(
    "invites",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("secret_hash", LargeBinary(32), nullable=False),
    Column("name", String(128), nullable=False),
    Column("role", String(16), nullable=False),
    Column("expires", _HOUR, nullable=False),
    Column("used_by", _KEY),
    # Whose lost wallet it replaces; empty where it admits somebody new.
    Column("member", _ID),
    Column("criteria", String(128), nullable=False, server_default=""),
    Column("group_digest", LargeBinary(32)),
)

operators: Final = Table(
    "operators",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("public_key", _KEY, nullable=False, unique=True),
    Column("added", _HOUR, nullable=False),
)

issuer_keys: Final = Table(
    "issuer_keys",
    metadata,
    # In the order in which they were published.
    Column("number", _PLACE, primary_key=True, autoincrement=False),
    Column("id", _ID, nullable=False, unique=True),
    Column("starts", _HOUR, nullable=False),
    Column("made", _HOUR, nullable=False),
    Column("emergency", Integer, nullable=False),
    # Under a key that is in the operator's home alone.
    Column("sealed", LargeBinary, nullable=False),
)

credentials: Final = Table(
    "credentials",
    metadata,
    # That a member has one under a key, and what it was answered; nothing posted leads here.
    Column("member", _ID, primary_key=True),
    Column("key", _ID, primary_key=True),
    Column("response", LargeBinary, nullable=False),
)

entries: Final = Table(
    "entries",
    metadata,
    Column("index", _PLACE, primary_key=True, autoincrement=False),
    # All but the entry are empty in a row recovered from a replica after the event was erased.
    Column("event_id", _ID, unique=True),
    Column("type", String(32)),
    Column("report", _ID),
    Column("by", _KEY),
    Column("seq", BigInteger),
    Column("at", _HOUR),
    Column("entry", LargeBinary(32), nullable=False),
    Column("ciphertext", LargeBinary),
    Index("entries_report", "report", "index"),
    Index("entries_type", "type", "index"),
    Index("entries_by", "by", "report", "seq"),
)

event_keys: Final = Table(
    "event_keys",
    metadata,
    Column("index", _PLACE, primary_key=True, autoincrement=False),
    Column("k", LargeBinary(32), nullable=False),
)

condemned: Final = Table(
    "condemned",
    metadata,
    # Keys to destroy once the erasure that condemns them is published.
    Column("index", _PLACE, primary_key=True, autoincrement=False),
)

tags: Final = Table(
    "tags",
    metadata,
    Column("context", String(128), primary_key=True),
    Column("tag", String(128), primary_key=True),
    Column("index", _PLACE, nullable=False),
    # Whether tags are spent is asked by the tags: one context may have tens of thousands.
    Index("tags_tag", "tag"),
)

head: Final = Table(
    "head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("fence", BigInteger, nullable=False),
)

checkpoints: Final = Table(
    "checkpoints",
    metadata,
    Column("size", _PLACE, primary_key=True, autoincrement=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("note", Text, nullable=False),
)

outbox: Final = Table(
    "outbox",
    metadata,
    # What was decided and is still to be appended, together and in this order.
    Column("id", _PLACE, primary_key=True, autoincrement=True),
    Column("acts", LargeBinary, nullable=False),
    Column("refused", Text),
)

proposals: Final = Table(
    "proposals",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("report", _ID, nullable=False),
    Column("code", String(64), nullable=False),
    Column("event", LargeBinary, nullable=False),
    Column("proposed_by", String(128), nullable=False),
    Column("approved_by", String(128)),
    Column("created", _HOUR, nullable=False),
    # What its approval needs to know and the log does not hold, as JSON.
    Column("details", Text, nullable=False, server_default=""),
)

refusals: Final = Table(
    "refusals",
    metadata,
    # What an operator tried and the rules do not allow.
    Column("id", _PLACE, primary_key=True, autoincrement=True),
    Column("at", _HOUR, nullable=False),
    Column("operator", String(128), nullable=False),
    Column("act", String(32), nullable=False),
    Column("target", String(128), nullable=False),
    Column("reason", Text, nullable=False),
)

webhooks: Final = Table(
    "webhooks",
    metadata,
    # Where members want what is new posted to. What waits for them is not stored: see `after`.
    Column("id", _ID, primary_key=True),
    Column("member", _ID, nullable=False),
    Column("url", String(1024), nullable=False),
    # Under a key that is in the operator's home alone, as is the one before it.
    Column("secret", LargeBinary, nullable=False),
    Column("old_secret", LargeBinary),
    Column("old_until", BigInteger, nullable=False, server_default="0"),
    # The last entry that was taken; and the index after the last one of the post under way.
    Column("after", BigInteger, nullable=False),
    Column("stop", BigInteger, nullable=False, server_default="0"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("failing_since", BigInteger, nullable=False, server_default="0"),
    Column("due", BigInteger, nullable=False, server_default="0"),
    Column("problem", String(256), nullable=False, server_default=""),
    Column("dead", Integer, nullable=False, server_default="0"),
    Column("revision", Integer, nullable=False, server_default="0"),
    Index("webhooks_member", "member"),
)

filings: Final = Table(
    "filings",
    metadata,
    # What somebody who is accused has filed; sealed to the operators.
    Column("id", _ID, primary_key=True),
    Column("report", _ID, nullable=False),
    Column("code", String(64), nullable=False),
    Column("proved_by", String(16), nullable=False),
    Column("received", _HOUR, nullable=False),
    Column("dispute", _ID),
    Column("closed", String(64)),
    Column("sealed", LargeBinary),
    Index("filings_dispute", "dispute"),
)

texts: Final = Table(
    "texts",
    metadata,
    # What belongs to a dispute and not into the log: answers' texts, files, reasons; sealed.
    Column("id", _ID, primary_key=True),
    Column("dispute", _ID, nullable=False),
    # The answer, or the proposed resolution, that it belongs to.
    Column("about", _ID, nullable=False),
    Column("received", _HOUR, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Index("texts_dispute", "dispute"),
)
