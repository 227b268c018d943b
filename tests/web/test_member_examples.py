"""The examples of the local service and of webhooks run as they are, where a runtime exists."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from standardwebhooks.webhooks import Webhook as Signer
from tests.web.test_member_api import INNOCENT, MARIA, Local, local

from acx.member.deliver import Webhook
from acx.member.memory import Waiting

EXAMPLES = Path(__file__).parents[2] / "examples"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CLIENTS = {
    "curl": ["sh", "check.sh"],
    "node": ["node", "check.mjs"],
    "php": ["php", "check.php"],
    "java": ["java", "Check.java"],
}

__all__ = ["local"]


@pytest.fixture
def environment(local: Local, tmp_path: Path) -> dict[str, str]:
    token = tmp_path / "token"
    token.write_text(local.token + "\n")
    return os.environ | {"ACX_SERVICE": local.url, "ACX_TOKEN_FILE": str(token)}


def ran(
    command: list[str], account: object, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=EXAMPLES / "service",
        input=json.dumps(account),
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_in_each_language_finds_what_there_is(
    client: str,
    local: Local,
    environment: dict[str, str],
) -> None:
    if shutil.which(client) is None:
        pytest.skip(f"{client} is not installed: examples/service/{CLIENTS[client][-1]} not run")
    done = ran(CLIENTS[client], MARIA, environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["hits"][0]["report_id"] == local.report


@pytest.mark.parametrize("client", ["curl", "node"])
def test_a_client_tells_a_refusal(client: str, environment: dict[str, str]) -> None:
    if shutil.which(client) is None:
        pytest.skip(f"{client} is not installed")
    done = ran(CLIENTS[client], {"name": 5}, environment)
    assert done.returncode != 0
    assert "Not an account" in done.stdout + done.stderr


def test_curl_streams_a_file_of_accounts(environment: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "accounts.jsonl"
    file.write_text("".join(json.dumps(account) + "\n" for account in (MARIA, INNOCENT, MARIA)))
    done = ran(["sh", "check.sh", str(file)], None, environment)
    assert done.returncode == 0, done.stderr
    out = [json.loads(line) for line in done.stdout.splitlines()]
    assert [len(row["hits"]) for row in out] == [1, 0, 1]


def test_the_sign_up_hook_refuses_nobody_by_itself(environment: dict[str, str]) -> None:
    hook = [sys.executable, "sign_up.py"]
    assert ran(hook, INNOCENT, environment).stdout == "welcome\n"
    assert ran(hook, MARIA, environment).stdout == "closed\n"
    # Nothing listens at port 1: a shop must not stand still.
    down = ran(hook, MARIA, environment | {"ACX_SERVICE": "http://127.0.0.1:1"})
    assert down.stdout == "welcome\n"
    assert "again later" in down.stderr


def test_the_webhook_receiver_believes_what_is_signed_and_nothing_else(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    command = [sys.executable, str(EXAMPLES / "webhook" / "receiver.py"), "0"]
    environment = os.environ | {"ACX_WEBHOOK_SECRET_FILE": str(secret)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        body = {"kind": "hit", "change": "new", "hit": {"account_id": "m", "level": "exact"}}
        alert = Waiting(number=1, id="msg_1", at=int(time.time()), body=json.dumps(body).encode())
        try:
            for _ in range(2):
                Webhook(url, SECRET).deliver(alert)
            now = int(time.time())
            forged = {
                "webhook-id": "msg_2",
                "webhook-timestamp": str(now),
                "webhook-signature": "v1,AAAA v1a,x",
            }
            assert httpx.post(url, content=b"{}", headers=forged).status_code == 401
            signed = {
                "webhook-id": "msg_3",
                "webhook-timestamp": str(now - 3600),
                "webhook-signature": Signer(SECRET).sign(
                    "msg_3", _at(now - 3600), '{"type": "old", "data": {}}'
                ),
            }
            old = httpx.post(url, content=b'{"type": "old", "data": {}}', headers=signed)
            assert old.status_code == 401
        finally:
            process.terminate()
        assert process.stdout.read() == "acx.hit new m exact\n"


def _at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
