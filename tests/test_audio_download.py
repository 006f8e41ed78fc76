"""URLs: what a real server on this machine sends, what is refused, and where a URL may lead."""

import io
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hf_mser import audio, audio_download
from hf_mser.audio import iter_windows, load_audio

_buffer = io.BytesIO()
soundfile.write(_buffer, 0.3 * np.sin(np.arange(22_050) / 9), 22_050, format="FLAC")
CLIP = _buffer.getvalue()


class Server(BaseHTTPRequestHandler):
    """Answers by path: the clip, an error, too much, too slow, too little, or a redirect."""

    stop = threading.Event()

    def do_GET(self) -> None:
        if self.path == "/clip":
            self._send(CLIP, len(CLIP))
        elif self.path == "/no-length":
            self._send(CLIP)
        elif self.path == "/cut":
            self._send(CLIP[:500], len(CLIP))
        elif self.path == "/endless":
            self._send(b"")
            self._trickle(bytes(65_536), pause=0.0)
        elif self.path == "/trickle":
            self._send(b"", 1_000)
            self._trickle(b"x", pause=0.02)
        elif self.path == "/slow-header":
            self._trickle(b"HTTP/1.1 200 OK\r\nX: " + b"x", pause=0.02)
        elif self.path == "/page":
            self._send(b"<html>Sign in</html>")
        elif self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
        else:
            self.send_error(404)

    def _send(self, body: bytes, length: int | None = None) -> None:
        self.send_response(200)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def _trickle(self, piece: bytes, pause: float) -> None:
        try:
            while not self.stop.wait(pause):
                self.wfile.write(piece)
        except OSError:  # the client has gone, as it should
            pass

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        running.daemon_threads = True
        running.block_on_close = False
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        Server.stop.set()
        running.shutdown()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv(audio_download.ALLOW_PRIVATE_VARIABLE, raising=False)


@pytest.mark.parametrize("path", ["/clip", "/no-length", "/to/clip", "/to//clip"])
def test_a_url_gives_the_samples_of_its_bytes(server: str, path: str) -> None:
    path = path.replace("/to/clip", f"/to/{server}/clip")
    assert np.array_equal(load_audio(server + path, allow_private_urls=True), load_audio(CLIP))


def test_the_environment_can_allow_private_addresses(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(audio_download.ALLOW_PRIVATE_VARIABLE, "1")
    (window,) = iter_windows(f"{server}/clip", 5.0, 5.0)
    assert window.end == 1.0
    with pytest.raises(audio.ForbiddenAddressError):
        load_audio(f"{server}/clip", allow_private_urls=False)


@pytest.mark.parametrize(
    ("path", "error_class", "words"),
    [
        ("/nothing", audio.AudioDownloadError, "404"),
        ("/cut", audio.AudioDownloadError, "fetched"),
        ("/page", audio.UndecodableAudioError, "no decoder"),
        ("/endless", audio.AudioTooLargeError, "more than 1000000 bytes"),
        ("/to/file:///etc/passwd", audio.AudioDownloadError, "file"),
        ("/to/ftp://127.0.0.1/clip", audio.AudioDownloadError, "ftp"),
    ],
)
def test_what_a_server_can_do_wrong(server: str, path: str, error_class: type, words: str) -> None:
    with pytest.raises(error_class, match=words) as caught:
        load_audio(server + path, max_url_bytes=1_000_000, allow_private_urls=True)
    assert caught.value.source == server + path


def test_secrets_in_a_url_stay_out_of_messages(server: str) -> None:
    with pytest.raises(audio.AudioDownloadError, match="404") as caught:
        load_audio(f"{server}/nothing here/é?signature=SECRET", allow_private_urls=True)
    assert "SECRET" not in str(caught.value)
    with pytest.raises(audio.AudioDownloadError, match="user name") as caught:
        load_audio("https://someone:SECRET@example.com/clip.wav")
    assert "SECRET" not in str(caught.value)


def test_an_announced_size_is_refused_before_it_is_fetched(server: str) -> None:
    with pytest.raises(audio.AudioTooLargeError, match="more than 999 bytes"):
        load_audio(f"{server}/clip", max_url_bytes=999, allow_private_urls=True)


@pytest.mark.parametrize("path", ["/trickle", "/slow-header"])
def test_a_trickle_does_not_hold_us(server: str, path: str) -> None:
    begin = time.monotonic()
    with pytest.raises(audio.AudioDownloadError, match=r"within 0\.3 s"):
        load_audio(server + path, timeout=0.3, allow_private_urls=True)
    assert time.monotonic() - begin < 10  # the server alone would go on for ever


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "10.1.2.3",
        "192.168.0.1",
        "172.16.9.9",
        "169.254.169.254",
        "0.0.0.0",
        "100.64.0.1",
        "2130706433",  # 127.0.0.1 as one number
        "0x7f.1",
        "[::1]",
        "[::]",
        "[fe80::1]",
        "[fd00::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "224.0.0.1",
    ],
)
def test_addresses_that_are_not_public_are_refused(host: str) -> None:
    url = f"http://{host}/clip.wav"
    with pytest.raises(audio.AudioDownloadError) as caught:
        load_audio(url, timeout=5)
    assert isinstance(caught.value, audio.ForbiddenAddressError) or "could not be fetched" in str(caught.value)
    assert caught.value.source == url


def test_a_redirect_to_a_private_address_is_refused(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server counts as public under the name 'localhost' alone, and then sends us to 127.0.0.1."""
    judge = audio_download._public_addresses

    def trusting(host: str, port: int, name: str = "") -> list[tuple]:
        return judge(host, port) if host != "localhost" else [(2, 1, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(audio_download, "_public_addresses", trusting)
    public = server.replace("127.0.0.1", "localhost")
    assert np.array_equal(load_audio(f"{public}/clip"), load_audio(CLIP))
    with pytest.raises(audio.ForbiddenAddressError):
        load_audio(f"{public}/to/{server}/clip")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_https_checks_the_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        running.daemon_threads = True
        running.socket = context.wrap_socket(running.socket, server_side=True)
        threading.Thread(target=running.serve_forever, daemon=True).start()
        url = f"https://localhost:{running.server_port}/clip"
        with pytest.raises(audio.AudioDownloadError, match="CERTIFICATE_VERIFY_FAILED"):
            load_audio(url, allow_private_urls=True)
        monkeypatch.setenv("SSL_CERT_FILE", certificate)
        assert np.array_equal(load_audio(url, allow_private_urls=True), load_audio(CLIP))
        with pytest.raises(audio.ForbiddenAddressError):
            load_audio(url)
        running.shutdown()


def test_what_is_not_there(server: str) -> None:
    for url in ("http://", "http:///x", "http://host:port/x", "http://[bad/x", "https://no-such-host.invalid/clip.wav"):
        with pytest.raises(audio.AudioDownloadError):
            load_audio(url, timeout=5)
