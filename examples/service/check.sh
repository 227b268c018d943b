#!/bin/sh
# One account as JSON on standard input:    sh check.sh < account.json
# A file of accounts, one JSON a line:      sh check.sh accounts.jsonl
set -eu
service=${ACX_SERVICE:-http://127.0.0.1:8450}
# The token goes by a file descriptor: arguments can be seen by everybody on the machine.
authorise() { printf 'header = "Authorization: Bearer %s"\n' "$(cat "${ACX_TOKEN_FILE:-token}")"; }
if [ $# -eq 0 ]; then
    account=$(cat)
    authorise | curl --silent --show-error --fail-with-body --config - \
        --header 'Content-Type: application/json' --data-raw "$account" "$service/v1/check"
else
    authorise | curl --silent --show-error --fail-with-body --no-buffer --config - \
        --header 'Content-Type: application/x-ndjson' --header 'Expect:' \
        --request POST --upload-file "$1" "$service/v1/screen"
fi
