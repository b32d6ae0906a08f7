"""Every setting, read once from an explicit mapping: name, default, bounds and meaning in one place."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from reprlib import repr as shortened
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from service.addresses import is_host, read_hosts
from service.errors import place_and_reason
from service.user_files import expanded

PREFIX = "TOKENS_"
SECRETS = frozenset({"secret_key", "secret_key_previous", "admin_password", "admin_jwt_secret", "import_suffix"})
# Settings that may be given as a file: the secrets, and the URL, which may hold a password.
BY_FILE = SECRETS | {"redis_url"}
UNIX = "unix:"
# Only the command line reads these two; they are not settings of the service.
CLIENT_NAMES = frozenset({"TOKENS_URL", "TOKENS_TOKEN"})
# What Kubernetes sets in a pod for a Service called `tokens`: a pattern for the name, and one for its value.
_SERVICE_LINKS = (
    (r"PORT(_[0-9]+_(TCP|UDP|SCTP))?", r"(tcp|udp|sctp)://[0-9a-f.:\[\]]+:[0-9]{1,5}"),
    (r"(SERVICE_HOST|PORT_[0-9]+_(TCP|UDP|SCTP)_ADDR)", r"[0-9a-f.:]+"),
    (r"(SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)_PORT)", r"[0-9]{1,5}"),
    (r"PORT_[0-9]+_(TCP|UDP|SCTP)_PROTO", r"tcp|udp|sctp"),
)
_SWITCH = {"on": True, "true": True, "yes": True, "1": True, "off": False, "false": False, "no": False, "0": False}
# With greater values, numbers computed from them would fail in Redis.
_Span = Annotated[int, Meta(le=10 * 366 * 86400)]
_Days = Annotated[int, Meta(le=36_500)]
_Count = Annotated[int, Meta(le=10**9)]


def _says(meaning: str, **bounds: Any) -> Meta:
    """A setting's meaning, in one line, and the bounds of its value."""
    return Meta(description=meaning, **bounds)


class SettingsError(Exception):
    """A setting that stops the start; the message is one line with the variable's name and what to do."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The effective settings. Environment names are these fields in capitals after `TOKENS_`."""

    host: Annotated[str, _says("addresses or unix:/paths to listen on, comma separated")] = "127.0.0.1"
    port: Annotated[int, _says("port to listen on; 0 takes a free one", ge=0, le=65535)] = 8080
    tls_cert_file: Annotated[str, _says("TLS certificate with its intermediates, PEM; re-read on SIGHUP")] = ""
    tls_key_file: Annotated[str, _says("key of that certificate, PEM; empty: in the same file")] = ""
    workers: Annotated[int, _says("processes that share the port", ge=1, le=256)] = 1
    # Not empty: that would be the directory in which the service happens to be started.
    data_dir: Annotated[str, _says("where the embedded default keeps its data", min_length=1)] = (
        "~/.local/share/token-service"
    )
    data_dir_group: Annotated[bool, _says("let a group of this user write the data directory")] = False
    redis_url: Annotated[
        str, _says("redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://; empty starts a Redis")
    ] = ""
    redis_timeout_ms: Annotated[
        int, _says("how long Redis may take to answer; to connect, four times as long", ge=10, le=60_000)
    ] = 250
    durability: Annotated[
        Literal["memory", "replicated", "fsync", "both"],
        _says("what confirms a change that removes rights: memory, replicated, fsync or both"),
    ] = "memory"
    redis_bin: Annotated[str, _says("server program for the embedded default")] = ""
    namespace: Annotated[str, _says("first part of every key", pattern=r"^[a-z0-9-]{1,32}\Z")] = "tokens"
    secret_key: Annotated[str, _says("server key, at least 32 characters; required with REDIS_URL")] = ""
    secret_key_previous: Annotated[str, _says("the server key before a change of keys")] = ""
    accounts_file: Annotated[str, _says("TOML file of accounts; re-read on SIGHUP")] = ""
    admin_password: Annotated[str, _says("password of `admin` on the embedded first start")] = ""
    admin_jwt_secret: Annotated[str, _says("HS256 secret of administrators' JWTs")] = ""
    admin_jwt_jwks: Annotated[str, _says("file or https URL of the JWKS for administrators' JWTs")] = ""
    admin_jwt_issuer: Annotated[str, _says("required `iss` of administrators' JWTs")] = ""
    admin_jwt_audience: Annotated[str, _says("required `aud` of administrators' JWTs")] = ""
    admin_jwt_claim: Annotated[str, _says("claim that makes an administrator", pattern=r"^[^=]+=.+\Z")] = "role=admin"
    one_time_ttl_seconds: Annotated[int, _says("life of a one-time token", ge=1, le=3600)] = 300
    one_time_issue: Annotated[
        Literal["open", "authenticated"], _says("who may issue one-time tokens: open or authenticated")
    ] = "open"
    one_time_issue_per_minute: Annotated[
        _Count, _says("anonymous issues per client address; five times as many per network", ge=1)
    ] = 60
    one_time_fence: Annotated[bool, _says("end one-time tokens at a failover, so that none is spent twice")] = True
    session_ttl_seconds: Annotated[_Span, _says("life of a session token", ge=1)] = 86400
    session_idle_seconds: Annotated[_Span, _says("idle time that ends a session; 0 disables it", ge=0)] = 0
    max_lifetime_days: Annotated[_Days, _says("longest life of a managed token; 0 allows never", ge=0)] = 365
    retention_days: Annotated[_Days, _says("how long ended tokens stay listed", ge=1)] = 30
    audit_max_entries: Annotated[_Count, _says("audit entries kept of each kind", ge=1000)] = 100_000
    trusted_proxies: Annotated[
        str, _says("addresses or networks believed in X-Forwarded-For and X-Tokens-Retry-Key, comma separated")
    ] = ""
    public_url: Annotated[
        str, _says("address clients use, like https://example.com/tokens; empty: as trusted proxies say")
    ] = ""
    accept_basic: Annotated[bool, _says("let /validate take HTTP Basic with the token as user or password")] = False
    accept_also: Annotated[str, _says("further ways to present tokens: scheme:X, bare, header:X, cookie:X")] = ""
    kubernetes_audiences: Annotated[
        str, _says("Kubernetes audiences that tokens are for, comma separated; empty: the API server's own")
    ] = ""
    import_suffix: Annotated[
        str, _says("for imports: text that another system appends to its tokens before it hashes them")
    ] = ""
    connections_per_address: Annotated[
        _Count, _says("connections open at once from one address or IPv6 /64, per process; 0 for no limit", ge=0)
    ] = 2048
    log_format: Annotated[Literal["auto", "text", "json"], _says("text or json; auto is text on a terminal")] = "auto"
    label: Annotated[
        str, _says("name of this environment in the dashboard's top bar", pattern=r"^[^\x00-\x1f\x7f]{0,24}\Z")
    ] = ""
    access_log: Annotated[bool, _says("a line per request, except validations, health and metrics")] = True
    metrics_port: Annotated[int, _says("separate port for /metrics; 0 disables it", ge=0, le=65535)] = 0
    webhook_allow_private: Annotated[bool, _says("let webhooks go to private addresses")] = False
    docs: Annotated[bool, _says("serve the interactive API reference at /docs")] = True
    drain_seconds: Annotated[int, _says("time open requests get at a stop", ge=0, le=300)] = 5

    @property
    def hosts(self) -> list[str]:
        """The entries of `host`, one by one; the path of a socket begins with `unix:`."""
        return read_hosts(self.host)

    @property
    def accounts_path(self) -> Path | None:
        return expanded(self.accounts_file) if self.accounts_file else None

    @property
    def kubernetes_audience_list(self) -> frozenset[str]:
        return frozenset(_listed(self.kubernetes_audiences))

    @property
    def trusted_networks(self) -> list[str]:
        return _listed(self.trusted_proxies)

    @property
    def data_path(self) -> Path:
        return expanded(self.data_dir)


def read(environment: Mapping[str, str]) -> Settings:
    """The settings from `TOKENS_*` names; a secret may be given as a file by `..._FILE`.

    Raises SettingsError for an unknown name (with the nearest known one), a bad value or an unreadable file.
    """
    hints = get_type_hints(Settings, include_extras=True)
    values: dict[str, Any] = {}
    for name, given in environment.items():
        if not name.startswith(PREFIX) or name in CLIENT_NAMES or is_service_link(name, given):
            continue
        field, text = name.removeprefix(PREFIX).lower(), given
        # First as a setting's own name, such as TOKENS_ACCOUNTS_FILE.
        if field not in hints and field.endswith("_file") and field.removesuffix("_file") in BY_FILE:
            field, text = field.removesuffix("_file"), _read_secret(name, text)
            if PREFIX + field.upper() in environment:
                raise SettingsError(f"{name} and {PREFIX}{field.upper()} are both set: keep one of them")
        if field not in hints:
            raise SettingsError(_unknown(name, hints))
        values[field] = _convert(name, text, hints[field])
    settings = Settings(**values)
    _check(settings)
    return settings


def is_service_link(name: str, value: str) -> bool:
    """True if Kubernetes set this `TOKENS_*` variable for a Service called `tokens`, so that it is no wrong setting."""
    rest = name.removeprefix(PREFIX)
    return any(re.fullmatch(names, rest) and re.fullmatch(values, value) for names, values in _SERVICE_LINKS)


def masked(settings: Settings) -> dict[str, Any]:
    """Environment names with effective values; secrets and the password of a URL are `***`."""
    shown = {}
    for field in settings.__struct_fields__:
        value = getattr(settings, field)
        if field in SECRETS and value:
            value = "***"
        shown[PREFIX + field.upper()] = without_passwords(value) if field.endswith(("_url", "_jwks")) else value
    return shown


def without_passwords(url: str) -> str:
    """The URL with `***` for each password in it."""
    url = re.sub(r"(?<=://)([^/?#:]*):[^/?#]*(?=@[^@/?#]*(?:[/?#]|$))", r"\1:***", url)
    return re.sub(r"([?&](?:ssl_|sentinel_)?password=)[^&]*", r"\1***", url)


def described() -> list[tuple[str, Any, str]]:
    """Environment name, default and meaning of every setting, in order. The README's table is checked against it."""
    rows = []
    for field, hint in get_type_hints(Settings, include_extras=True).items():
        meaning = next(meta.description for meta in hint.__metadata__ if meta.description)
        rows.append((PREFIX + field.upper(), getattr(Settings(), field), meaning))
    return rows


def _unknown(name: str, hints: Mapping[str, Any]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415  # A hundredth of a start, of which nearly none needs it.

    known = [PREFIX + field.upper() for field in (*hints, *(f"{field}_file" for field in sorted(BY_FILE)))]
    nearest = get_close_matches(name, known, n=1)
    hint = f": did you mean {nearest[0]}?" if nearest else "; `token-service config` prints the known ones"
    return f"{name} is not a setting{hint}"


def _read_secret(name: str, path: str) -> str:
    try:
        # Windows editors write a byte order mark first, which would become a part of the secret.
        text = Path(path).read_text(encoding="utf-8-sig").strip()
    except OSError as error:
        raise SettingsError(f"{name}: cannot read {path!r}: {os.strerror(error.errno or 0)}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{name}: {path} is not UTF-8 text") from None
    if not text:
        # An empty file must not count as unset: without a URL the service would start its own, empty Redis.
        raise SettingsError(f"{name}: {path} is empty: write the value into it, or unset {name}")
    return text


def _convert(name: str, text: str, hint: Any) -> Any:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        # docker passes on the quotes of an --env-file; compose and a shell remove them, so the secret would differ.
        raise SettingsError(f"{name} stands in quotes, which would be a part of it: take them away")
    base = get_args(hint)[0]
    if base is bool:
        if text.lower() not in _SWITCH:
            raise SettingsError(f"{name}={shortened(text)}: write on or off")
        return _SWITCH[text.lower()]
    if get_origin(base) is Literal and text not in get_args(base):
        raise SettingsError(f"{name}={shortened(text)}: choose one of {', '.join(get_args(base))}")
    try:
        text.encode()
        return msgspec.convert(text, hint, strict=False)
    except UnicodeEncodeError:
        raise SettingsError(f"{name} is not UTF-8 text") from None
    except msgspec.ValidationError as error:
        raise SettingsError(f"{name}={shortened(text)}: {place_and_reason(error, hint)[1]}") from None


def _listed(text: str) -> list[str]:
    return [part for part in map(str.strip, text.split(",")) if part]


def _check(settings: Settings) -> None:
    _check_places(settings)
    for name in ("trusted_proxies", "accept_also", "kubernetes_audiences"):
        # Only commas: what remains of variables that were not set.
        if (value := getattr(settings, name)) and not _listed(value):
            raise SettingsError(
                f"{PREFIX}{name.upper()}={value!r} lists nothing: write what it is to hold, or unset it"
            )
    for name in ("SECRET_KEY", "SECRET_KEY_PREVIOUS", "ADMIN_JWT_SECRET"):
        # At least 256 bits, which HS256 requires (RFC 7518, 3.2); the server keys have the same bound.
        if 0 < len(getattr(settings, name.lower()).encode()) < 32:
            raise SettingsError(f"{PREFIX}{name} is shorter than 32 characters: make one with `openssl rand -hex 32`")
    if settings.redis_url and not settings.secret_key:
        made = "make one with `openssl rand -hex 32` and give every process the same"
        raise SettingsError(f"TOKENS_SECRET_KEY is needed with TOKENS_REDIS_URL: {made}")
    jwt_keys = list(filter(None, (settings.admin_jwt_secret, settings.admin_jwt_jwks)))
    if jwt_keys and not (settings.admin_jwt_issuer and settings.admin_jwt_audience):
        raise SettingsError("administrators' JWTs need TOKENS_ADMIN_JWT_ISSUER and TOKENS_ADMIN_JWT_AUDIENCE")
    if len(jwt_keys) > 1:
        raise SettingsError("TOKENS_ADMIN_JWT_SECRET and TOKENS_ADMIN_JWT_JWKS are both set: keep one of them")
    if not jwt_keys and (settings.admin_jwt_issuer or settings.admin_jwt_audience):
        raise SettingsError(
            "administrators' JWTs have an issuer or an audience and no key: set TOKENS_ADMIN_JWT_SECRET or "
            "TOKENS_ADMIN_JWT_JWKS, or unset TOKENS_ADMIN_JWT_ISSUER and TOKENS_ADMIN_JWT_AUDIENCE"
        )


def _check_places(settings: Settings) -> None:
    fit = [host.startswith(f"{UNIX}/") if host.startswith(UNIX) else is_host(host) for host in settings.hosts]
    if not fit or not all(fit):
        raise SettingsError(
            f"TOKENS_HOST={shortened(settings.host)}: write addresses or unix:/path, comma separated, without the port"
        )
    if settings.tls_key_file and not settings.tls_cert_file:
        raise SettingsError("TOKENS_TLS_KEY_FILE needs TOKENS_TLS_CERT_FILE")
    try:
        _ = settings.accounts_path, None if settings.redis_url else settings.data_path
    except RuntimeError:
        name = "TOKENS_ACCOUNTS_FILE" if settings.accounts_file.startswith("~") else "TOKENS_DATA_DIR"
        raise SettingsError(f"{name} begins with ~ and this user has no home directory: name a whole path") from None
