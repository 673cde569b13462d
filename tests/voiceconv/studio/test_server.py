"""The page's server says what is wrong with its port."""

from __future__ import annotations

import socket

import pytest

from voiceconv.errors import UserError
from voiceconv.studio.server import require_free


def test_a_port_in_use_is_refused_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=f"Port {port} is in use; choose another with --port"):
            require_free("127.0.0.1", port)
    require_free("127.0.0.1", port)
    require_free("127.0.0.1", 0)
