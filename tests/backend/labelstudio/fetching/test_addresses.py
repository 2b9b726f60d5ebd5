"""Which addresses count as public, and that connections go to the address that was checked."""

from __future__ import annotations

import shlex
import shutil
import socket
import ssl
import subprocess
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import requests
from stand_in import Answer, stand_in

from prelabel.labelstudio.errors import FetchError
from prelabel.labelstudio.fetching.addresses import GuardedAdapter, is_public, resolve

PRIVATE = [
    "127.0.0.1",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.2.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fc00::1",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
]
PUBLIC = ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", PRIVATE)
def test_not_public(address: str):
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str):
    assert is_public(ip_address(address))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0", "::1"])
def test_spellings_of_loopback_are_seen_through(host: str):
    with pytest.raises(FetchError, match="in a private network"):
        resolve(host, 80, may_be_private=False)


@pytest.mark.parametrize("host", ["nowhere.invalid", "x" * 64 + ".example", "a..b"])
def test_unknown_hosts(host: str):
    with pytest.raises(FetchError, match="is not known"):
        resolve(host, 80, may_be_private=True)


def _name_server(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Names have these addresses at the first look-up, the second one, ...; returns the names looked up."""
    asked: list[str] = []
    remaining = list(answers)
    real = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *args: Any, **options: Any) -> list[Any]:
        if host.replace(".", "").isdigit():
            return real(host, port, *args, **options)
        asked.append(host)
        addresses = remaining.pop(0) if len(remaining) > 1 else remaining[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def test_one_private_address_among_public_ones_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch):
    _name_server(monkeypatch, ["93.184.216.34", "10.0.0.1"])
    with pytest.raises(FetchError):
        resolve("mixed.example", 80, may_be_private=False)


def test_a_name_that_changes_its_address_after_the_check_gains_nothing(monkeypatch: pytest.MonkeyPatch):
    session = requests.Session()
    with stand_in() as trap:
        asked = _name_server(monkeypatch, ["192.0.2.1"], ["127.0.0.1"])
        session.mount("http://", GuardedAdapter(lambda *_: True))
        with pytest.raises(requests.ConnectionError):
            session.get(f"http://rebind.example:{trap.host.split(':')[1]}/", timeout=0.2)
        assert asked == ["rebind.example"]
        assert not trap.requests


def test_the_server_is_asked_by_its_name(monkeypatch: pytest.MonkeyPatch):
    session = requests.Session()
    with stand_in() as server:
        server.answers("/a", Answer(b"yes"))
        _name_server(monkeypatch, ["127.0.0.1"])
        session.mount("http://", GuardedAdapter(lambda *_: True))
        port = server.host.split(":")[1]

        assert session.get(f"http://user:pass@images.example:{port}/a", timeout=2).content == b"yes"
        assert server.requests[0].headers["Host"] == f"images.example:{port}"


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl to make a certificate")
@pytest.mark.parametrize(("name", "trusted"), [("images.example", True), ("other.example", False)])
def test_certificates_are_checked_against_the_name_although_an_address_is_called(
    name: str, trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make_certificate = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test"
    names = ["-addext", "subjectAltName=DNS:images.example", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*shlex.split(make_certificate), *names], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    _name_server(monkeypatch, ["127.0.0.1"])
    session = requests.Session()
    session.mount("https://", GuardedAdapter(lambda *_: True))

    with stand_in(context) as server:
        server.answers("/a", Answer(b"yes"))
        url = f"https://{name}:{server.host.split(':')[1]}/a"
        if trusted:
            assert session.get(url, timeout=5, verify=str(certificate)).content == b"yes"
        else:
            with pytest.raises(requests.exceptions.SSLError):
                session.get(url, timeout=5, verify=str(certificate))
