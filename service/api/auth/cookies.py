"""The dashboard's session in a cookie: its name and path, and the proof that the page itself sent a change."""

from service.api.auth.presented import cookies_in
from service.api.http.call import Call
from service.api.http.public_address import BaseUrl, PublicAddress, read_base_url
from service.errors import Forbidden

_SAFE = ("GET", "HEAD")
_ASKED_BY = b"tokens-dashboard"
# Used where browsers keep no Secure cookie: plain http over loopback, or where TOKENS_PUBLIC_URL says plain http.
_PLAIN = "tokens"


class SessionCookies:
    """Writes and reads the cookie.

    At the root its name begins with `__Host-`, which no other host of the domain can set. Below a path, where the host
    is shared, it begins with `__Secure-`, and the browser sends it to that path only.
    """

    def __init__(self, address: PublicAddress) -> None:
        self.address = address

    def keep(self, call: Call, secret: str, seconds: int) -> tuple[tuple[bytes, bytes], ...]:
        """The header lines that give the browser this session; 0 seconds remove it."""
        page = _page_of(call) or self.address.seen(call)
        rest = f"Path={self.address.prefix(call)}/; HttpOnly; SameSite=Strict; Max-Age="
        if page.scheme == "http" and self._may_be_plain(page):
            lines = [f"{_PLAIN}={secret}; {rest}{seconds}"]
        else:
            lines = [f"{self._secure_name(call)}={secret}; {rest}{seconds}; Secure"]
            if page.is_loopback:
                # A page over plain http may have left a cookie of its own, which would be read first.
                lines.append(f"{_PLAIN}=; {rest}0")
        return tuple((b"set-cookie", line.encode()) for line in lines)

    def read(self, call: Call) -> bytes | None:
        """The session in the cookie, None without one. An unsafe method must prove that the page itself sent it.

        Raises Forbidden for an unsafe method without that proof.
        """
        if call.header(b"cookie") is None:
            return None
        # The first of each name: browsers send the cookie with the longest path first (RFC 6265, 5.4).
        named = dict(
            reversed([(name.decode("latin-1"), value) for name, value in cookies_in(call.scope["headers"]) if value])
        )
        # Over loopback both cookies are possible, because only what the page sends shows whether it came by https.
        plain = named.get(_PLAIN) if self._may_be_plain(self.address.seen(call)) else None
        secret = plain or named.get(self._secure_name(call))
        if secret is not None and call.method not in _SAFE:
            self.require_same_origin(call)
        return secret

    def require_same_origin(self, call: Call) -> None:
        """Raises Forbidden unless a page of this server sent the request on purpose."""
        site = call.text_header(b"sec-fetch-site")
        # Browsers without Fetch Metadata send no Sec-Fetch-Site. Pages of other origins cannot send X-Requested-With
        # without a preflight, which this service never allows.
        if site not in ("", "same-origin") or call.header(b"x-requested-with") != _ASKED_BY:
            raise Forbidden("This request did not come from the dashboard's own page.")
        page = _page_of(call)
        if page is None or not self._is_own(page, call, asserted=site == "same-origin"):
            where = page.origin if page else "an unknown address"
            raise Forbidden(
                f"This is a page of {where}, and the service is known as {self.address.of(call)}. "
                "Set TOKENS_PUBLIC_URL to the address in the browser."
            )

    def require_kept(self, call: Call) -> None:
        """As `require_same_origin`, for a sign-in. Also raises Forbidden where the browser would drop the cookie."""
        self.require_same_origin(call)
        page = _page_of(call)
        if page is not None and page.scheme == "http" and not self._may_be_plain(page):
            raise Forbidden(
                "This page came over plain http, where a browser keeps no sign-in. Open it over https, or on the "
                f"server itself as http://localhost. In a network that you trust, set TOKENS_PUBLIC_URL={page.origin}."
            )

    def _is_own(self, page: BaseUrl, call: Call, *, asserted: bool) -> bool:
        """`asserted`: the browser says that page and request have the same origin. It is surer than a Host."""
        configured = self.address.configured
        is_seen = page.host == self.address.host(call, page.scheme)
        if configured is not None:
            return page.origin == configured.origin or (is_seen and page.is_loopback)
        return is_seen or asserted

    def _may_be_plain(self, page: BaseUrl) -> bool:
        configured = self.address.configured
        return page.is_loopback or (configured is not None and configured.scheme == "http")

    def _secure_name(self, call: Call) -> str:
        return "__Secure-tokens" if self.address.prefix(call) else "__Host-tokens"


def _page_of(call: Call) -> BaseUrl | None:
    """The origin that the browser names, None without one."""
    try:
        return read_base_url(call.text_header(b"origin"))
    except ValueError:
        return None
