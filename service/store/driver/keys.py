"""Every key family, built here and nowhere else.

All keys of a shard share one hash tag, `<namespace>:{<tag>}:`, so that a script touches one slot.
`<h>` is a digest as 32 raw bytes, which take less room than their text; `<id>` is a public token id.

family            type    content                                                  expiry
c:<h>             string  the credential, sealed; it exists while the token is valid  PXAT
x:<h>             string  why a managed credential is gone, and its token's id:       PXAT, with the retention
                          expired inactive revoked; it still finds a secret whose
                          credential is gone. Written by what ends the credential,
                          and by the sweep a day before its date; else absent
x:<id>            string  the same for a revoked token that was rotated, once its     PXAT, as that of its
                          record is purged: an export may have an earlier secret    secret
r:<id>:<limit>    string  rate-limit state (GCRA) of a token's limit; or, with the    PX until full again
                          end of a window in the key, what is used of a quota
r:<h>:<limit>     string  the same for a limit that all tokens of a subject share      the same
sl:<h>            string  these limits of a subject, JSON; in the shard of its name  -
sli               zset    subjects that have such limits, score 0                  -
sv                string  how often such limits changed, in any shard, and whose   -
slt               zset    changes of such limits, each the seal of its entry and a   -
                          subject, score 0, until every process can know of it
r:<h>             string  GCRA state of an issuer of one-time tokens; or a mark for   PX until full again
                          an account and an address that it signed in from
                  zset    tries at passwords: id -> until when it counts, ms          PX with the last of them
i:<h>             string  a request with an Idempotency-Key: the nonce its secret is  PX 10 min
                          derived with, and a MAC of what was asked; in the shard
                          of the key, because a repeat may ask for another name
m:<id>            hash    metadata of a managed token; of a derived token only its   at the purge; with a
                          uses, if it counts its own                               derived one
de:<id>           zset    credentials derived from a token -> their expiry, negative  with the last of them
                          if they are not its children but further descendants
on off dead       zset    id -> created, epoch microseconds: active; inactive, and  -
                          revoked with a negative score; expired. A token that was
                          never used has FIRST_USE more than after its first use:
                          `created + FIRST_USE`, or `-created` if it is revoked
exp               zset    id -> expiry of tokens in `on`; negative for those in `off`;  -
                          created, epoch microseconds, if they never expire
gc                zset    id -> when an ended token is purged                      -
names             zset    `name NUL id`, score 0; `~` before a revoked token's id;  -
                          `!` and a number behind it while its record is asked
                          whether the token has this name
nb:<block>        string  rows `name NUL last-characters id created LF`, folded, of  -
                          the tokens with these digits in their id, and LF alone
                          where rows were removed
lu                zset    id -> last use, epoch seconds, of tokens that had one      -
imported          zset    id -> created, epoch microseconds: tokens whose secret     -
                          was made by another system
imr               set     rules by which these secrets are found; in the first shard  -
by:<owner>        zset    id -> created, epoch microseconds, by creator            -
o:<h>             string  a one-time token, sealed                                 PXAT
oix               zset    digest -> expiry of outstanding one-time tokens          swept
od:<h>            string  the answer to a consumption, for a retry of the same request  PX 30 s
su:<h>            zset    digest -> expiry of a user's sessions                    swept: in slices, and
                                                                                   none expires whole
sus               zset    a user's digest -> when the last of its sessions ends    swept
six               zset    digest -> expiry of all sessions, less a fraction of a   swept
                          second that encodes the last use; whole if never used
sg:<h>            int     generation of a user's sessions                          -
sin               hash    a user's digest -> when the user signed in last          -
ev evo evr        stream  audit log, `e` JSON and `s` its MAC: changes; sign-ins  trimmed when sealed;
                          and expiries; refused sign-ins                           MAXLEN ~ 4 times that
evc evco evcr     stream  checkpoints that seal one of these; the id is that of    when all they cover is trimmed
                          the last entry covered. `f` the id before the first,
                          `n` entries sealed before, `k` how many are kept, `p`
                          MAC of the previous checkpoint, `l` eight bytes for
                          each entry, `m` MAC over all this
wh                hash    webhook id -> its sealed record; in the first shard alone  -
we:<id>           string  such a webhook was deleted                               PX 10 min
wn                stream  notices for webhooks that are no audit entries: `e`, `s`  MAXLEN ~
wt:<name>         string  such a notice was written a moment ago                   PX
wx                hash    window -> how far notices of expiries went               -
wl                string  the process that delivers for this shard                 PX 10 s
wc:<id>           hash    how far a webhook has read each stream of events: id of   -
                          the last entry, how many had been added with it;
                          `dropped` events that were trimmed before
wd:<id> wq:<id>   hash, zset  a webhook's deliveries that wait: event -> sealed    -
                          record, event -> when due, epoch milliseconds
wf:<id> wz:<id>   list    sealed records of deliveries made, and given up          30 days
ut:<id>           hash    usage of a token, except in its last hour of use, which  100 days after it was
                          is in its record: `a` (allowed) or `d` (denied) and the  written to
                          number of a list -> a list: counts of seven hours; `A`
                          or `D` the same for seven days; `t` how many hours came
                          here. Numbers repeat: see `store/usage.py`
uh:<hour>         hash    usage of the service in an hour: `allowed`, and the      100 days
                          refused by outcome
wm                string  written before a wait until a write is confirmed         PX 1 s
hy                string  the counts of unused tokens; in the first shard          1 h
hl                string  the process that counts them                             PX 2 min
meta              string  how many shards this namespace was first started with    -
meta:key          string  a mark that identifies its server key                    -
meta:id           string  a random id of its data; after a loss there is another   -
meta:reset        string  the id of data that was lost; once somebody confirmed    -
                          that, the present one. These four are only in the
                          first shard
meta:probe        string  for trying out what the server of a shard can do         PX 5 s
meta:none         string  never written: removing it tests the right to do so      -
"""

import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256

from service.identifiers import TOKEN_ID

# Chosen so that sixteen shards spread evenly over the 16,384 slots of a cluster.
TAGS = ("u0", "qp", "dj", "j", "d2", "2", "uh", "acd", "ly", "h9", "uv", "q6", "9s", "qn", "dt", "t")
SHARDS = (1, len(TAGS))
DIGEST_BYTES = 32


class Stream(StrEnum):
    """The audit streams of a shard; the value follows the shard in an entry's public id.

    Each has its own bound: sign-ins and expiries must not push changes out, and the refused sign-ins of strangers must
    push out nothing else.
    """

    CHANGES = ""
    OCCURRENCES = "o"
    REFUSALS = "r"


# Separates used from unused tokens in the lists of their status (`on off dead` above). On both sides of it is room for
# every microsecond until the year 2096, within the integers that a sorted set keeps exactly.
FIRST_USE = 5 * 10**15
# By the first two characters of an id: a table, because a walk through a million tokens asks for each.
_SHARDS = {f"{shard:02x}": shard for shard in range(len(TAGS))}
_is_token_id = TOKEN_ID.fullmatch
_ID_AND_SPACE = 17
_are_of_first = re.compile(r"(?:00[0-9a-f]{14} )*").fullmatch


def shard_of_name(name: str, shards: int) -> int:
    """Where a name is unique: the first byte of its SHA-256 modulo the shards."""
    return sha256(name.encode()).digest()[0] % shards if shards > 1 else 0


def shard_of_digest(digest: bytes, shards: int) -> int:
    """Where the record of a digest lives: its first byte modulo the shards."""
    # Sixteen divide the 256 values of a byte evenly.
    return digest[0] % shards


def shard_of_id(token_id: str, shards: int) -> int | None:
    """Where a managed token lives: the first two hex digits of its id; None if the id cannot be one of ours."""
    shard = _SHARDS.get(token_id[:2], shards)
    return shard if shard < shards and _is_token_id(token_id) else None


def shards_of_ids(token_ids: Sequence[str], shards: int) -> list[int | None]:
    """`shard_of_id` of each id, in order."""
    # With one shard, one pattern checks all ids together, which takes a fifth of the time.
    text = " ".join((*token_ids, ""))
    if shards == 1 and len(text) == _ID_AND_SPACE * len(token_ids) and _are_of_first(text):
        return [0] * len(token_ids)
    return [shard_of_id(token_id, shards) for token_id in token_ids]


@lru_cache(256)
def _encode_name(name: str) -> bytes:
    return urlsafe_b64encode(name.encode()).rstrip(b"=")


def _by_digest(family: bytes) -> Callable[["Keys", bytes], bytes]:
    """The key of a digest in this family."""
    return lambda keys, digest: keys.prefix + family + digest


def _by_id(family: bytes) -> Callable[["Keys", str], bytes]:
    return lambda keys, token_id: keys.prefix + family + token_id.encode()


def _by_name(family: bytes) -> Callable[["Keys", str], bytes]:
    """The key of a name that people choose: in base64url, because it may hold any character."""
    return lambda keys, name: keys.prefix + family + _encode_name(name)


class Keys:
    """The key names of one shard."""

    def __init__(self, namespace: str, shard: int) -> None:
        self.prefix = prefix = f"{namespace}:{{{TAGS[shard]}}}:".encode()
        self.credential_prefix = prefix + b"c:"
        self.one_time_prefix = prefix + b"o:"
        self.on = prefix + b"on"
        self.off = prefix + b"off"
        self.dead = prefix + b"dead"
        self.expiry = prefix + b"exp"
        self.purge = prefix + b"gc"
        self.names = prefix + b"names"
        self.last_uses = prefix + b"lu"
        # The indexes that a managed token may move between, in the order in which scripts take them.
        self.lists = (self.on, self.off, self.dead, self.expiry, self.purge, self.last_uses)
        self.one_time_index = prefix + b"oix"
        self.session_index = prefix + b"six"
        self.session_users = prefix + b"sus"
        self.sign_ins = prefix + b"sin"
        self.imported = prefix + b"imported"
        self.imported_rules = prefix + b"imr"
        self.changes = self.entries(Stream.CHANGES)
        self.occurrences = self.entries(Stream.OCCURRENCES)
        self.mark = prefix + b"wm"
        self.limited_subjects = prefix + b"sli"
        self.limits_changed = prefix + b"sv"
        self.limits_untold = prefix + b"slt"
        self.hygiene = prefix + b"hy"
        self.hygiene_lock = prefix + b"hl"
        self.webhooks = prefix + b"wh"
        self.notices = prefix + b"wn"
        self.notices_reached = prefix + b"wx"
        self.delivery_lock = prefix + b"wl"
        self.meta, self.key_mark = prefix + b"meta", prefix + b"meta:key"
        self.store_id, self.reset_note = prefix + b"meta:id", prefix + b"meta:reset"
        self.probe, self.none = prefix + b"meta:probe", prefix + b"meta:none"
        # The streams that webhooks read, by the name under which each webhook stores how far it has read.
        self.event_streams = {"changes": self.changes, "occurrences": self.occurrences, "notices": self.notices}

    reason = _by_digest(b"x:")
    rate = _by_digest(b"r:")
    limits = _by_digest(b"sl:")
    request = _by_digest(b"i:")
    consumed = _by_digest(b"od:")
    user_sessions = _by_digest(b"su:")
    user_generation = _by_digest(b"sg:")
    metadata = _by_id(b"m:")
    revoked = _by_id(b"x:")
    derived = _by_id(b"de:")
    webhook_ended = _by_id(b"we:")
    webhook_places = _by_id(b"wc:")
    deliveries = _by_id(b"wd:")
    deliveries_due = _by_id(b"wq:")
    deliveries_made = _by_id(b"wf:")
    deliveries_given_up = _by_id(b"wz:")
    usage = _by_id(b"ut:")
    owner = _by_name(b"by:")
    noticed = _by_name(b"wt:")

    def entries(self, stream: Stream) -> bytes:
        return self.prefix + b"ev" + stream.encode()

    def checkpoints(self, stream: Stream) -> bytes:
        return self.prefix + b"evc" + stream.encode()

    def credential(self, digest: bytes) -> bytes:
        return self.credential_prefix + digest

    def credentials(self, digests: Sequence[bytes]) -> list[bytes]:
        """`credential` of each digest: calling that for each takes four times as long."""
        prefix = self.credential_prefix
        return [prefix + digest for digest in digests]

    def credential_and_reason(self, digest: bytes) -> tuple[bytes, bytes]:
        return self.credential_prefix + digest, self.prefix + b"x:" + digest

    def record_and_usage(self, token_id: str) -> tuple[bytes, bytes]:
        """The keys of a managed token's metadata and of its usage, for every token used in a second."""
        prefix, name = self.prefix, token_id.encode()
        return prefix + b"m:" + name, prefix + b"ut:" + name

    # By id, not by digest: in the overlap of a rotation both secrets share the limit.
    def rate_of_token(self, token_id: str, limit: str) -> bytes:
        return self.prefix + f"r:{token_id}:{limit}".encode()

    def one_time(self, digest: bytes) -> bytes:
        return self.one_time_prefix + digest

    def name_block(self, block: int) -> bytes:
        return self.prefix + b"nb:%d" % block

    def usage_of_hour(self, hour: int) -> bytes:
        return self.prefix + b"uh:%d" % hour
