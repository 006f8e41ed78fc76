"""Sound behind a URL, fetched with a limit on size, on time, and on where it may lead.

A service that takes URLs from strangers must not be talked into reading its own network. So only
http and https are followed, every redirect is judged like the first address, and the connection is
made to the very address that was judged (a name could resolve differently a moment later).
"""

import contextlib
import http.client
import ipaddress
import os
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from typing import IO, Any
from urllib.parse import quote, urlsplit

from .audio_errors import AudioDownloadError, AudioTooLargeError, ForbiddenAddressError

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
ALLOW_PRIVATE_VARIABLE = "HF_MSER_ALLOW_PRIVATE_URLS"
"""Set to 1, this environment variable lets URLs lead to loopback and private addresses."""


def download(
    url: str, name: str, target: IO[bytes], max_bytes: int, timeout: float, allow_private: bool | None
) -> None:
    """Write what `url` delivers into `target`, or say why not, calling it `name`.

    Example:
        >>> import io
        >>> url = "http://127.0.0.1/clip.wav"
        >>> download(url, url, io.BytesIO(), 1_000_000, 5.0, False)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        hf_mser.audio_errors.ForbiddenAddressError: http://127.0.0.1/clip.wav: leads to 127.0.0.1, ...
    """
    if allow_private is None:
        allow_private = os.environ.get(ALLOW_PRIVATE_VARIABLE, "").lower() in ("1", "true", "yes", "on")
    connector = _Connector(allow_private)
    deadline = time.monotonic() + timeout
    watch = threading.Timer(timeout, connector.cut)
    watch.start()
    try:
        _check_url(url, name)
        address = quote(url, safe="%/:=&?~#+!$,;'@()*[]")  # spaces and accents, as a browser would
        request = urllib.request.Request(address, headers={"User-Agent": "hf_mser", "Accept": "audio/*, */*;q=0.5"})
        with _opener(name, connector).open(request, timeout=timeout) as response:
            _copy(response, target, name, max_bytes, deadline)
    except AudioDownloadError:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: a malformed URL
        late = time.monotonic() >= deadline
        raise _failure(name, TimeoutError() if late else error, timeout) from error
    finally:
        watch.cancel()


def _copy(response: Any, target: IO[bytes], name: str, max_bytes: int, deadline: float) -> None:
    announced = response.headers.get("Content-Length", "")
    expected = int(announced) if announced.isdigit() else None
    received = 0
    while True:
        if max(received, expected or 0) > max_bytes:
            cause = f"delivers more than {max_bytes} bytes"
            raise AudioTooLargeError(name, cause, "Download it yourself, or pass a larger max_url_bytes")
        block = response.read1(1 << 16)  # read1 returns what is there: a trickle cannot pass the deadline
        if time.monotonic() >= deadline:  # also when the connection was cut, which looks like an end
            raise TimeoutError
        if not block:
            break
        target.write(block)
        received += len(block)
    if expected is not None and received < expected:
        raise http.client.IncompleteRead(b"", expected - received)


def _opener(name: str, connector: "_Connector") -> urllib.request.OpenerDirector:
    handlers: list[urllib.request.BaseHandler] = [_Judge(name, connector.allow_private)]
    if not urllib.request.getproxies():  # a proxy makes the connection itself
        handlers += [_HTTPHandler(connector), _HTTPSHandler(connector)]
    return urllib.request.build_opener(*handlers)


class _Judge(urllib.request.BaseHandler):
    """Looks at every request before it leaves, redirected ones included."""

    def __init__(self, name: str, allow_private: bool) -> None:
        self.name, self.allow_private = name, allow_private

    def http_request(self, request: urllib.request.Request) -> urllib.request.Request:
        _check_url(request.full_url, self.name)
        if not self.allow_private and urllib.request.getproxies():  # else the connector judges
            parts = urlsplit(request.full_url)
            with contextlib.suppress(socket.gaierror):  # a proxy may know names that are unknown here
                _public_addresses(parts.hostname or "", parts.port or 80, self.name)
        return request

    https_request = http_request


def _check_url(url: str, name: str) -> None:
    parts = urlsplit(url)
    cause = None
    if parts.scheme.lower() not in ("http", "https"):
        cause = f"the scheme {parts.scheme}:// is not supported"
    elif parts.username is not None:
        cause = "a user name inside the URL is not supported"
    if cause:
        raise AudioDownloadError(name, cause, "Pass a plain http(s) URL, a path, or an open file object")


def _public_addresses(host: str, port: int, name: str = "") -> list[tuple]:
    """What a name resolves to, if all of it is on the public internet."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for *_, address in found:
        ip = ipaddress.ip_address(str(address[0]).split("%")[0])
        if not all(part.is_global and not part.is_multicast for part in (ip, *_embedded(ip))):
            cause = f"leads to {ip}, which is not a public address"
            cure = f"If you trust it, pass allow_private_urls=True or set {ALLOW_PRIVATE_VARIABLE}=1"
            raise ForbiddenAddressError(name or host, cause, cure)
    return found


def _embedded(ip: Any) -> list[ipaddress.IPv4Address]:
    """The IPv4 address to which a gateway would carry an IPv6 address on."""
    if ip.version == 4:
        return []
    behind = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
    if ip in _NAT64:
        behind.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    return [address for address in behind if address is not None]


class _Connector:
    """Makes the connections of one download: only to judged addresses, and none beyond the deadline."""

    def __init__(self, allow_private: bool) -> None:
        self.allow_private = allow_private
        self.open: list[socket.socket] = []

    def connect(self, host: str, port: int, timeout: Any) -> socket.socket:
        if self.allow_private:
            return socket.create_connection((host, port), timeout)
        failure: OSError = OSError(f"{host} has no address")
        for *_, address in _public_addresses(host, port):
            try:
                return socket.create_connection(address[:2], timeout)
            except OSError as error:
                failure = error
        raise failure

    def cut(self) -> None:
        for connection in self.open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _HTTPConnection(http.client.HTTPConnection):
    def __init__(self, host: str, *, connector: _Connector, **options: Any) -> None:
        super().__init__(host, **options)
        self.connector = connector

    def connect(self) -> None:
        self.sock = self.connector.connect(self.host, self.port, self.timeout)
        self.connector.open.append(self.sock)


class _HTTPSConnection(http.client.HTTPSConnection):
    def __init__(self, host: str, *, connector: _Connector, **options: Any) -> None:
        super().__init__(host, **options)
        self.connector = connector

    def connect(self) -> None:
        plain = self.connector.connect(self.host, self.port, self.timeout)
        self.connector.open.append(plain)
        self.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=self.host)
        self.connector.open.append(self.sock)


class _HTTPHandler(urllib.request.HTTPHandler):
    def __init__(self, connector: _Connector) -> None:
        super().__init__()
        self.connector = connector

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_HTTPConnection, request, connector=self.connector)  # type: ignore[arg-type]


class _HTTPSHandler(urllib.request.HTTPSHandler):
    def __init__(self, connector: _Connector) -> None:
        super().__init__()
        self.connector = connector

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_HTTPSConnection, request, connector=self.connector)  # type: ignore[arg-type]


def _failure(name: str, error: BaseException, timeout: float) -> AudioDownloadError:
    reason = getattr(error, "reason", None)
    if isinstance(reason, ForbiddenAddressError):  # urllib wraps what the connector raises
        return ForbiddenAddressError(name, reason.cause, reason.cure)
    if isinstance(error, TimeoutError) or isinstance(reason, TimeoutError):
        return AudioDownloadError(name, f"did not arrive within {timeout:g} s", "Pass a larger timeout")
    if isinstance(error, urllib.error.HTTPError):
        return AudioDownloadError(name, f"the server answered {error.code} {error.reason}", "Check the URL")
    cause = f"could not be fetched ({reason or error or type(error).__name__})"
    return AudioDownloadError(name, cause, "Check the URL and the network, or download it yourself")
