#!/usr/bin/env bash
# standardwebhooks 1.1.0 for Python: sign() takes a datetime and reads its hours and minutes as UTC, whatever zone it
# carries. The same instant told in UTC and at +01:00 is signed as two, an hour apart; the second signature, sent with
# that instant as webhook-timestamp, is refused by the library's own verify(). A sender in London finds out in summer.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check standardwebhooks==1.1.0
seen=$("$folder/venv/bin/python" - <<'PYTHON'
from datetime import datetime, timedelta, timezone

from standardwebhooks import Webhook, WebhookVerificationError

hook = Webhook("whsec_b2YgdGhpcyBmaW5kaW5nLCBvbmx5")
now = datetime.now(timezone.utc)
for hours in (0, 1):
    told = now.astimezone(timezone(timedelta(hours=hours)))
    fields = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(told.timestamp())),
        "webhook-signature": hook.sign("msg_1", told, "{}"),
    }
    try:
        answer = hook.verify("{}", fields)
    except WebhookVerificationError as error:
        answer = error
    print(f"same instant {told == now}, told at +{hours:02}:00: {answer}")
PYTHON
)
echo "$seen"
test "$seen" = "same instant True, told at +00:00: {}
same instant True, told at +01:00: No matching signature found"
