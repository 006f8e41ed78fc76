"""Sound behind a URL, fetched with a limit on size, on time, and on where it may lead.

A service that takes URLs from strangers must not be talked into reading its own network. So only
http and https are followed, every redirect is judged like the first address, and the connection is
made to the very address that was judged (a name could resolve differently a moment later).
"""

import http.client
import ipaddress
import os
import socket
import ssl
import time
import urllib.error
import urllib.request
from typing import IO, Any
from urllib.parse import urlsplit

from .audio_errors import AudioDownloadError, AudioTooLargeError, ForbiddenAddressError

ALLOW_PRIVATE_VARIABLE = "HF_MSER_ALLOW_PRIVATE_URLS"
"""Set to 1, this environment variable lets URLs lead to loopback and private addresses."""


def download(url: str, target: IO[bytes], max_bytes: int, timeout: float, allow_private: bool | None) -> None:
    """Write what `url` delivers into `target`, or say why not.

    Example:
        >>> import io
        >>> download("http://127.0.0.1/clip.wav", io.BytesIO(), 1_000_000, 5.0, False)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        hf_mser.audio_errors.ForbiddenAddressError: http://127.0.0.1/clip.wav: leads to 127.0.0.1, ...
    """
    if allow_private is None:
        allow_private = os.environ.get(ALLOW_PRIVATE_VARIABLE, "").lower() in ("1", "true", "yes", "on")
    _check_scheme(url, url)
    deadline = time.monotonic() + timeout
    request = urllib.request.Request(url, headers={"User-Agent": "hf_mser", "Accept": "audio/*, */*;q=0.5"})
    try:
        with _opener(url, allow_private).open(request, timeout=timeout) as response:
            _copy(response, target, url, max_bytes, deadline)
    except ForbiddenAddressError as error:
        raise ForbiddenAddressError(url, error.cause, error.cure) from None
    except AudioDownloadError:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: a malformed URL
        raise _failure(url, error, timeout) from error


def _copy(response: Any, target: IO[bytes], url: str, max_bytes: int, deadline: float) -> None:
    announced = response.headers.get("Content-Length", "")
    expected = int(announced) if announced.isdigit() else None
    received = 0
    while True:
        if max(received, expected or 0) > max_bytes:
            cause = f"delivers more than {max_bytes} bytes"
            raise AudioTooLargeError(url, cause, "Download it yourself, or pass a larger max_url_bytes")
        if time.monotonic() > deadline:
            raise TimeoutError("the download took too long")
        block = response.read1(
            1 << 16
        )  # read1: one network packet, so that a trickle cannot pass the deadline
        if not block:
            break
        target.write(block)
        received += len(block)
    if expected is not None and received < expected:
        raise http.client.IncompleteRead(b"", expected - received)


def _opener(url: str, allow_private: bool) -> urllib.request.OpenerDirector:
    handlers: list[urllib.request.BaseHandler] = [_Judge(url, allow_private)]
    if (
        not urllib.request.getproxies() and not allow_private
    ):  # through a proxy, the proxy makes the connection
        handlers += [_PinnedHTTPHandler(), _PinnedHTTPSHandler()]
    return urllib.request.build_opener(*handlers)


class _Judge(urllib.request.BaseHandler):
    """Looks at every request before it leaves, redirected ones included."""

    def __init__(self, url: str, allow_private: bool) -> None:
        self.url, self.allow_private = url, allow_private

    def http_request(self, request: urllib.request.Request) -> urllib.request.Request:
        _check_scheme(request.full_url, self.url)
        if not self.allow_private:
            parts = urlsplit(request.full_url)
            try:
                _public_addresses(parts.hostname or "", parts.port or 80)
            except socket.gaierror:
                if not urllib.request.getproxies():  # a proxy may know names that this machine does not
                    raise
        return request

    https_request = http_request


def _check_scheme(url: str, first: str) -> None:
    scheme = urlsplit(url).scheme.lower()
    if scheme not in ("http", "https"):
        cause = f"the scheme {scheme}:// is not supported" + ("" if url == first else " (after a redirect)")
        raise AudioDownloadError(first, cause, "Pass an http(s) URL, a path, or an open file object")


def _public_addresses(host: str, port: int) -> list[tuple]:
    """What a name resolves to, if all of it is on the public internet."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for *_, address in found:
        ip = ipaddress.ip_address(str(address[0]).split("%")[0])
        ip = getattr(ip, "ipv4_mapped", None) or getattr(ip, "sixtofour", None) or ip
        if not ip.is_global or ip.is_multicast:
            cause = f"leads to {ip}, which is not a public address"
            cure = f"If you trust it, pass allow_private_urls=True or set {ALLOW_PRIVATE_VARIABLE}=1"
            raise ForbiddenAddressError(host, cause, cure)
    return found


def _connect(host: str, port: int, timeout: Any) -> socket.socket:
    failure: OSError = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in _public_addresses(host, port):
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(timeout)
            connection.connect(address)
            return connection
        except OSError as error:
            connection.close()
            failure = error
    raise failure


class _PinnedHTTPConnection(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = _connect(self.host, self.port, self.timeout)


class _PinnedHTTPSConnection(http.client.HTTPSConnection):
    def connect(self) -> None:
        plain = _connect(self.host, self.port, self.timeout)
        self.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=self.host)


class _PinnedHTTPHandler(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_PinnedHTTPConnection, request)


class _PinnedHTTPSHandler(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_PinnedHTTPSConnection, request)


def _failure(url: str, error: BaseException, timeout: float) -> AudioDownloadError:
    reason = getattr(error, "reason", None)
    if isinstance(error, TimeoutError) or isinstance(reason, TimeoutError):
        return AudioDownloadError(url, f"did not arrive within {timeout:g} s", "Pass a larger timeout")
    if isinstance(error, urllib.error.HTTPError):
        return AudioDownloadError(url, f"the server answered {error.code} {error.reason}", "Check the URL")
    cause = f"could not be fetched ({reason or error or type(error).__name__})"
    return AudioDownloadError(url, cause, "Check the URL and the network, or download it yourself")
