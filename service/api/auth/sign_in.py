"""What is sent to sign in: the same for programs and for the dashboard."""

from typing import Annotated

import msgspec
from msgspec import Meta


class SignIn(msgspec.Struct, forbid_unknown_fields=True):
    """A name and its password."""

    username: Annotated[str, Meta(max_length=256)]
    password: Annotated[str, Meta(max_length=1024)]
