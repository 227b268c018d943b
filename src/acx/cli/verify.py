"""`acx verify`: check the log, one's own copy or anybody's public one; prove that it has forked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from acx.cli.options import json_option

if TYPE_CHECKING:
    from acx.log.fork import Fork
    from acx.member.home import Checked


@click.command()
@click.argument(
    "proof", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="ACX_HOME",
    default=None,
    help="Directory of the member (or ACX_HOME).",
)
@click.option(
    "--against",
    metavar="URL|FILE",
    default="",
    help="Also hold another signed head against ours: the exchange's, a mirror's or a witness's at "
    "URL; or a fellow member's checkpoint, receipt or replica at FILE.",
)
@click.option(
    "--proof",
    "proof_out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Where to write the proof, if the log has forked.",
)
@click.option(
    "--checkpoint-out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Write our newest checkpoint, for fellow members to compare with.",
)
@click.option(
    "--log",
    metavar="URL|DIR",
    default=None,
    help="As an outsider: verify a log's public files, without a membership.",
)
@click.option(
    "--log-key",
    metavar="VKEY",
    default=None,
    help="With --log or PROOF: the log's key, as the operator publishes it.",
)
@json_option
def verify(
    proof: Path | None,
    home: Path | None,
    against: str,
    proof_out: Path | None,
    checkpoint_out: Path | None,
    log: str | None,
    log_key: str | None,
    as_json: bool,
) -> None:
    """Check the log: recompute every entry, proof and state from the ground up.

    A member checks its replica (--home), and with --against also that another head agrees with it.
    Anyone checks the public files (--log URL --log-key VKEY), or a PROOF that the log has forked,
    as --proof writes it. Exit code 5: the log is inconsistent; the signed checkpoints that prove it
    are printed.
    """
    if proof is not None:
        _fork(proof, home, log_key, as_json=as_json)
    elif log is not None:
        if log_key is None:
            raise click.UsageError("--log needs --log-key, the key that the operator publishes")
        with _explaining(log_key, proof_out, as_json=as_json):
            _public(log, log_key, as_json=as_json)
    elif home is None:
        raise click.UsageError("say what to verify: --home DIR (or ACX_HOME), or --log URL|DIR")
    else:
        _own(home, against, proof_out, checkpoint_out, as_json=as_json)


def _own(
    home: Path,
    against: str,
    proof_out: Path | None,
    checkpoint_out: Path | None,
    *,
    as_json: bool,
) -> None:
    from acx.cli.output import print_json, progress
    from acx.member.home import Member

    member = Member.open(home)
    with (
        _explaining(member.log_key, proof_out, as_json=as_json),
        progress("verifying", quiet=as_json) as advance,
    ):
        checked = member.verify(against=against, progress=advance)
    if checkpoint_out is not None:
        _write(checkpoint_out, member.checkpoint())
    if as_json:
        print_json(checked)
    else:
        _tell(checked, against)


def _tell(checked: Checked, against: str) -> None:
    own, seen = checked.verified, checked.verified.witnessed
    click.echo(
        f"{own.origin}: {own.size} entries lead to root {own.root[:16]}…; {own.opened} opened and "
        f"their signatures checked, {own.gone} erased or expired on record; "
        f"{own.reports} reports follow from them"
    )
    if seen.witnesses:
        click.echo(
            f"{seen.size} entries cosigned by {len(seen.cosigners)} of {seen.witnesses} witnesses"
            f" ({', '.join(seen.cosigners) or 'none'})"
        )
    if checked.compared is not None:
        also = ", ".join(checked.compared.other_cosigners)
        click.echo(
            f"agrees with {against}, of {checked.compared.other_size} entries"
            + (f", cosigned by {also}" if also else "")
        )


def _public(log: str, log_key: str, *, as_json: bool) -> None:
    from acx.cli.output import print_json
    from acx.log.tiles import DirectoryReader
    from acx.member.client import ExchangeClient
    from acx.member.verify import PublicFiles, verify_public

    if log.startswith(("http://", "https://")):
        client = ExchangeClient(log)
        try:
            found = verify_public(PublicFiles(client), log_key)
        finally:
            client.close()
    else:
        found = verify_public(DirectoryReader(Path(log)), log_key)
    head = found.checkpoint
    if as_json:
        print_json(
            {
                "origin": head.origin,
                "size": head.size,
                "root": head.root.hex(),
                "files": found.files,
            }
        )
    else:
        click.echo(f"{head.origin}: {head.size} entries, {found.files} files, all as signed")


def _fork(file: Path, home: Path | None, log_key: str | None, *, as_json: bool) -> None:
    """Check a proof of a fork, with nothing but the log's key; ends with 5 if it holds."""
    from acx.log.errors import Forked
    from acx.log.fork import MAX_CHARACTERS, parse_fork_proof, verify_fork_proof
    from acx.log.note import Verifier
    from acx.member.home import Member

    if log_key is None:
        if home is None:
            raise click.UsageError("a proof needs --log-key VKEY, or --home of a member")
        log_key = Member.open(home).log_key
    with file.open(encoding="utf-8", errors="replace") as opened:
        proof = parse_fork_proof(opened.read(MAX_CHARACTERS + 1))
    fork = verify_fork_proof(proof, Verifier.parse(log_key))
    _show(fork, as_json=as_json)
    raise Forked("the proof holds: the operator of the log, or who has its key, signed both")


@contextmanager
def _explaining(log_key: str, proof_out: Path | None, *, as_json: bool) -> Iterator[None]:
    """Within it, a fork is shown and its proof written before the command ends with 5."""
    from acx.cli.output import note
    from acx.log.errors import InconsistentLog
    from acx.log.fork import parse_fork_proof, verify_fork_proof
    from acx.log.note import Verifier

    try:
        yield
    except InconsistentLog as error:
        if error.proof:
            fork = verify_fork_proof(parse_fork_proof(error.proof), Verifier.parse(log_key))
            _show(fork, as_json=as_json)
            if proof_out is not None:
                _write(proof_out, error.proof)
                note(
                    f"the proof is in {proof_out}; anyone can check it: acx verify {proof_out}"
                    f" --log-key {log_key}"
                )
        else:
            for signed in error.evidence:
                click.echo(signed)
        raise


def _show(fork: Fork, *, as_json: bool) -> None:
    from acx.cli.output import print_json

    if as_json:
        print_json(
            {
                "forked": fork.smaller.origin,
                "explanation": fork.explanation,
                "smaller": fork.smaller.note,
                "larger": fork.larger.note,
                "root": fork.root.hex(),
            }
        )
        return
    click.echo(fork.explanation)
    for note in (fork.smaller.note, fork.larger.note):
        click.echo(f"\n{note}", nl=False)


def _write(path: Path, text: str) -> None:
    from acx.records.files import AtomicFile

    with AtomicFile(path) as file:
        file.write(text.encode())
