"""Our client over TLS, with cookies, behind redirects, and in front of a proxy."""

from __future__ import annotations

import datetime
import ipaddress
import random
import socket
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from crmops.drivers import client as one_person
from crmops.errors import UsageError
from crmops.outcome import Outcome
from crmops.target import LoadPermission, Target
from crmops.wire import Call
from loadtests.child.books import Books
from loadtests.child.client import Client, needs_cookies, open_site
from loadtests.child.detours import Cookies
from loadtests.guard import guard
from loadtests.http1 import LazyHeaders
from loadtests.settings import Settings

from .conftest import SMALL
from .nasty import with_length
from .test_client import Server, answers

OK = with_length(b"{}")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-made certificate of 127.0.0.1 with its key; the certificate alone is in ca.pem."""
    return self_made(tmp_path_factory.mktemp("tls"))


def self_made(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "crm")])
    now = datetime.datetime.now(datetime.UTC)
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name)
        .public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(here, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = made.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "ca.pem").write_bytes(pem)
    (folder / "server.pem").write_bytes(secret + pem)
    return folder


def over_tls(certificate: Path, script: object) -> object:
    """A script of a server, spoken over TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "server.pem")

    def secured(server: Server, sock: socket.socket) -> None:
        try:
            with context.wrap_socket(sock, server_side=True) as tls:
                script(server, tls)  # type: ignore[operator]
        except OSError:  # the client has refused us
            pass

    return secured


def client(address: str, *, redirects: int = 0, cookies: bool = False, ca_file: str = "") -> Client:
    target = Target(name="crm", connector="refcrm", url=address, timeout=2, ca_file=ca_file)
    site = open_site(target, Books(), 1e9, lambda **_: None, redirects)
    return Client(site, lambda _: None, random.Random(1), cookies=cookies)


def get(path: str = "/api") -> Call:
    return Call("GET", path, "accounts.list", {"authorization": "Bearer t"}, None, True)


def test_tls_with_a_certificate_of_our_own(certificate: Path) -> None:
    large = b"x" * 100_000
    server = Server(over_tls(certificate, answers(with_length(large), OK)))
    address = f"https://127.0.0.1:{server.port}"
    person = client(address, ca_file=str(certificate / "ca.pem"))
    first, second = person.send(get()), person.send(get())
    assert first.reply is not None
    assert second.reply is not None
    assert (first.reply.body, second.reply.body) == (large, b"{}")
    person.close()
    server.close()
    assert len(server.requests) == 2  # over one connection


@pytest.mark.parametrize(
    ("host", "known", "said"),
    [
        ("127.0.0.1", False, "the certificate is refused: self-signed certificate"),
        ("localhost", True, "the certificate is refused: Hostname mismatch"),
    ],
)
def test_a_certificate_that_is_not_theirs(
    certificate: Path, host: str, known: bool, said: str
) -> None:
    server = Server(over_tls(certificate, answers(OK)))
    ca_file = str(certificate / "ca.pem") if known else ""
    sent = client(f"https://{host}:{server.port}", ca_file=ca_file).send(get())
    assert sent.problem is not None
    assert (sent.problem.outcome, server.requests) == (Outcome.TRANSPORT, [])
    assert sent.problem.message.startswith(said)
    server.close()


def test_the_systems_authorities_are_kept_beside_those_of_the_target(
    certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For thousands of people as for one; what neither knows is refused."""
    other = self_made(tmp_path) / "ca.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "ca.pem"))
    server = Server(*(over_tls(certificate, answers(OK)) for _ in range(3)))
    address = f"https://127.0.0.1:{server.port}"
    person = client(address, ca_file=str(other))
    assert person.send(get()).problem is None
    person.close()
    target = Target(name="crm", connector="refcrm", url=address, timeout=2, ca_file=str(other))
    with one_person(target) as http:
        assert http.get("/").status_code == 200
    monkeypatch.delenv("SSL_CERT_FILE")
    (tmp_path / "none.pem").write_bytes(other.read_bytes())
    refused = client(address, ca_file=str(tmp_path / "none.pem")).send(get())
    assert refused.problem is not None
    assert refused.problem.message.startswith("the certificate is refused")
    server.close()


def test_a_server_without_tls_is_said_to_have_none() -> None:
    server = Server(answers(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"))
    sent = client(f"https://127.0.0.1:{server.port}").send(get())
    assert sent.problem is not None
    assert sent.problem.message.startswith("no TLS: ")
    server.close()


def moved(status: int, location: str) -> bytes:
    return b"HTTP/1.1 %d Moved\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % (
        status,
        location.encode(),
    )


def test_redirects_are_followed_only_when_asked() -> None:
    server = Server(answers(moved(302, "/elsewhere")))
    stays = client(f"http://127.0.0.1:{server.port}")
    sent = stays.send(get())
    assert sent.reply is not None
    assert sent.reply.status == 302
    stays.close()
    server.close()
    server = Server(answers(moved(302, "/crm/elsewhere"), moved(307, "second?a=1"), OK))
    goes = client(f"http://127.0.0.1:{server.port}/crm", redirects=3)
    sent = goes.send(get("/first"))
    assert sent.reply is not None
    assert sent.reply.status == 200
    paths = [each.split(b" ")[1] for each in server.requests]
    assert paths == [b"/crm/first", b"/crm/elsewhere", b"/crm/second?a=1"]
    assert all(b"authorization: Bearer t" in each for each in server.requests)
    goes.close()
    server.close()


def test_a_write_becomes_a_look_after_303() -> None:
    server = Server(answers(moved(303, "/made"), OK))
    person = client(f"http://127.0.0.1:{server.port}", redirects=1)
    call = Call("POST", "/make", "leads.create", {"content-type": "application/json"}, b"{}")
    person.send(call)
    second = server.requests[1]
    assert second.startswith(b"GET /made ")
    assert b"content-type" not in second
    person.close()
    server.close()


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("http://elsewhere.example/", "a redirect to another host"),
        ("//elsewhere.example/", "a redirect to another host"),
        ("", "a redirect to nowhere"),
        ("/again", "more than 2 redirects"),
    ],
)
def test_redirects_that_are_not_followed(location: str, said: str) -> None:
    server = Server(answers(*[moved(302, location)] * (3 if location == "/again" else 1)))
    sent = client(f"http://127.0.0.1:{server.port}", redirects=2).send(get())
    assert sent.problem is not None
    assert (sent.problem.outcome, sent.problem.message) == (Outcome.TRANSPORT, said)
    server.close()


def setting(*cookies: str) -> bytes:
    lines = "".join(f"Set-Cookie: {each}\r\n" for each in cookies)
    return f"HTTP/1.1 200 OK\r\n{lines}Content-Length: 2\r\n\r\n{{}}".encode()


def test_cookies_are_kept_for_connectors_that_need_them() -> None:
    expires = "Expires=Wed, 21 Oct 2015 07:28:00 GMT"
    server = Server(
        answers(
            setting("sid=1; Path=/; HttpOnly", "lang=zh", 'bad name="x'),
            setting(f"lang=; {expires}", f"sid=2; Max-Age=60; {expires}"),
            OK,
        ),
        answers(OK),
    )
    person = client(f"http://127.0.0.1:{server.port}", cookies=True)
    for _ in range(3):
        person.send(get())
    person.close()  # the session is over
    person.send(get())
    person.close()
    server.close()
    sent = [each.partition(b"\r\ncookie: ")[2].partition(b"\r\n")[0] for each in server.requests]
    assert sent == [b"", b"sid=1; lang=zh", b"sid=2", b""]


def test_cookies_are_nobodys_business_otherwise() -> None:
    server = Server(answers(setting("sid=1"), OK))
    person = client(f"http://127.0.0.1:{server.port}")
    person.send(get())
    person.send(get())
    person.close()
    server.close()
    assert b"cookie" not in server.requests[1]


@pytest.mark.parametrize("text", ["", "=x", "a", "a=b\x00", "a=1; Max-Age=soon"])
def test_odd_cookies_do_no_harm(text: str) -> None:
    head = f"HTTP/1.1 200 OK\r\nSet-Cookie: {text}".encode("latin-1")
    jar = Cookies()
    jar.keep(LazyHeaders(head, head.lower()))
    assert jar.line() in (b"", b"cookie: a=1\r\n")


def test_the_reference_crm_needs_no_cookies() -> None:
    from crmops.connectors import connect

    assert not needs_cookies(connect(Target(name="crm", connector="refcrm", url="http://x")))


@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "all_proxy"])
def test_a_proxy_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for each in ("https_proxy", "all_proxy", "no_proxy", "http_proxy"):
        monkeypatch.delenv(each, raising=False)
        monkeypatch.delenv(each.upper(), raising=False)
    monkeypatch.setenv(name, "http://proxy.example:3128")
    permission = LoadPermission(allowed=True)
    target = Target(name="crm", connector="refcrm", url="https://crm.example", load=permission)
    settings = Settings(allowed_hosts=("crm.example",))
    with pytest.raises(UsageError) as refused:
        guard(target, SMALL, settings)
    assert refused.value.message == (
        f"{name.upper()} wants a proxy between here and crm.example, and load goes through none"
    )
    monkeypatch.setenv("no_proxy", ".example")
    guard(target, SMALL, settings)
    monkeypatch.delenv("no_proxy")
    guard(target.model_copy(update={"url": "https://127.0.0.1:1"}), SMALL, settings)
