"""Downloads from servers that refuse parts of files, ask for pauses, or are behind a proxy.

tests/datasets/test_archives.py has the broken connections and the wrong files.
"""

import datetime
import email.utils
import ipaddress

import download_server
import pytest

from crossask import downloading
from crossask.errors import DownloadError
from crossask.version import __version__

CONTENT = bytes(range(256)) * 40
RECORD = "record/400515/files/a.zip"
RECORDS = "records/400515/files/a.zip"


@pytest.fixture
def part(tmp_path):
    """Returns the path of a file of which an earlier run has received 100 bytes."""
    path = tmp_path / "part"
    path.write_bytes(CONTENT[:100])
    return path


def download(url, path, pause=None):
    """Downloads without waiting and returns the pauses that there would have been."""
    pauses = []
    pause = pause or pauses.append
    downloading.download(url, path, size=len(CONTENT), pauses_seconds=(1, 2), pause=pause)
    assert path.read_bytes() == CONTENT
    return pauses


def fail(_seconds):
    pytest.fail("another try cannot help")


# ---- Parts of files


@pytest.mark.parametrize("status", [400, 403, 405, 416])
def test_a_server_that_refuses_parts_of_files_sends_the_whole_file(server, part, status):
    server.files["a.zip"] = CONTENT
    server.refusal_of_ranges = status
    assert download(f"{server.url}/a.zip", part) == []
    assert server.requests == [("a.zip", "bytes=100-"), ("a.zip", None)]


def test_what_has_arrived_stays_if_the_whole_file_is_refused_too(server, part):
    server.files["a.zip"] = CONTENT
    server.refusals = [(403, {}), (403, {})]
    with pytest.raises(DownloadError, match="403"):
        download(f"{server.url}/a.zip", part)
    assert part.read_bytes() == CONTENT[:100]


def test_tries_end_if_a_server_refuses_parts_and_always_breaks_off(server, tmp_path):
    server.files["a.zip"] = CONTENT
    server.refusal_of_ranges = 403
    server.cuts = [100] * 9
    with pytest.raises(DownloadError):
        download(f"{server.url}/a.zip", tmp_path / "part")
    # The first try got 100 bytes; two more got no further.
    headers = [header for _, header in server.requests]
    assert headers == [None, "bytes=100-", None, "bytes=100-", None]


def test_a_busy_server_is_not_asked_for_the_whole_file(server, part):
    server.files["a.zip"] = CONTENT
    server.refusals = [(503, {}), (429, {})]
    assert download(f"{server.url}/a.zip", part) == [1, 2]
    assert [header for _, header in server.requests] == ["bytes=100-"] * 3


# ---- What the server learns


def test_every_request_has_the_version_of_the_program(server, part):
    server.files["a.zip"] = CONTENT
    server.redirects = {"/old.zip": "/a.zip"}
    server.refusal_of_ranges = 403
    download(f"{server.url}/old.zip", part)
    assert len(server.user_agents) == 4
    for user_agent in server.user_agents:
        assert user_agent.split()[0] == f"crossask/{__version__}"


# ---- Pauses that a server asks for


def date_in(seconds):
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return email.utils.format_datetime(moment, usegmt=True)


@pytest.mark.parametrize("status", [429, 503, 403])
def test_the_pause_that_a_server_asks_for_is_kept(server, tmp_path, status):
    server.files["a.zip"] = CONTENT
    server.refusals = [(status, {"Retry-After": "20"})]
    assert download(f"{server.url}/a.zip", tmp_path / "part") == [20]


def test_the_pause_may_be_a_date(server, tmp_path):
    server.files["a.zip"] = CONTENT
    server.refusals = [(503, {"Retry-After": date_in(40)})]
    (pause,) = download(f"{server.url}/a.zip", tmp_path / "part")
    assert 10 < pause <= 40


@pytest.mark.parametrize(
    "value",
    ["0", "soon", "-5", "", "Thu, 99 Foo 2026", date_in(-60)],
    ids=["zero", "a word", "negative", "empty", "no date", "past"],
)
def test_a_shorter_pause_or_none_is_the_usual_one(server, tmp_path, value):
    server.files["a.zip"] = CONTENT
    server.refusals = [(503, {"Retry-After": value})]
    assert download(f"{server.url}/a.zip", tmp_path / "part") == [1]


def test_a_long_pause_is_reported_every_minute(server, tmp_path, caplog):
    server.files["a.zip"] = CONTENT
    server.refusals = [(429, {"Retry-After": "150"})]
    with caplog.at_level("INFO", logger="crossask"):
        assert download(f"{server.url}/a.zip", tmp_path / "part") == [60, 60, 30]
    first, *others = [record.getMessage() for record in caplog.records]
    assert "429" in first
    assert "150 s" in first
    assert ["90 s" in others[0], "30 s" in others[1]] == [True, True]
    assert len(others) == 2


@pytest.mark.parametrize("value", ["86400", date_in(86400)], ids=["seconds", "date"])
def test_a_pause_has_an_upper_limit(server, tmp_path, value, caplog):
    server.files["a.zip"] = CONTENT
    server.refusals = [(429, {"Retry-After": value})]
    pauses = download(f"{server.url}/a.zip", tmp_path / "part")
    assert sum(pauses) == downloading.LONGEST_PAUSE_SECONDS == 900
    assert "900 s" in caplog.text


def test_a_server_that_always_asks_for_a_pause_is_an_error(server, tmp_path):
    server.refusals = [(429, {"Retry-After": "5"})] * 9
    with pytest.raises(DownloadError, match="429"):
        download(f"{server.url}/a.zip", tmp_path / "part")
    assert len(server.requests) == 3


# ---- Zenodo's addresses


@pytest.mark.parametrize(("published", "served"), [(RECORD, RECORDS), (RECORDS, RECORD)])
@pytest.mark.parametrize("status", [404, 403, 410])
def test_both_forms_of_an_address_of_zenodo_are_tried(server, tmp_path, published, served, status):
    server.files[served] = CONTENT
    server.refusals = [(status, {})]
    assert download(f"{server.url}/{published}?download=1", tmp_path / "part") == []
    assert server.names_requested() == [published, served]


def test_a_download_continues_at_the_other_address(server, part):
    server.files[RECORDS] = CONTENT
    download(f"{server.url}/{RECORD}", part)
    assert server.requests[-1] == (RECORDS, "bytes=100-")


def test_a_redirect_between_the_forms_is_followed(server, part):
    server.files[RECORDS] = CONTENT
    server.redirects = {f"/{RECORD}": f"/{RECORDS}"}
    download(f"{server.url}/{RECORD}", part)
    assert server.requests == [(RECORD, "bytes=100-"), (RECORDS, "bytes=100-")]


def test_an_address_that_no_form_of_zenodo_serves_is_an_error_with_the_published_one(
    server, tmp_path
):
    with pytest.raises(DownloadError, match=f"/{RECORD} cannot be fetched .*404"):
        download(f"{server.url}/{RECORD}", tmp_path / "part")
    assert server.names_requested() == [RECORD, RECORDS]


# ---- Proxies


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy"])
def test_the_proxy_of_the_environment_is_used(server, tmp_path, monkeypatch, variable):
    server.files["a.zip"] = CONTENT
    monkeypatch.setenv(variable, server.url)
    download("http://corpora.invalid/a.zip", tmp_path / "part")
    assert server.proxied == ["http://corpora.invalid/a.zip"]


def test_a_server_without_a_proxy_is_reached_directly(server, tmp_path, monkeypatch):
    server.files["a.zip"] = CONTENT
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with pytest.raises(DownloadError):
        download(f"{server.url}/a.zip", tmp_path / "part")
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    download(f"{server.url}/a.zip", tmp_path / "part")
    assert server.proxied == []


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "ftp://127.0.0.1:9", "http://a:b"])
def test_a_proxy_that_cannot_be_used_is_an_error_without_another_try(
    server, tmp_path, monkeypatch, proxy
):
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(DownloadError, match="proxy") as error:
        download(f"{server.url}/a.zip", tmp_path / "part", fail)
    assert "ALL_PROXY" in error.value.fix


@pytest.mark.parametrize("host", ["mirror..example.org", "a" * 64 + ".example.org"])
@pytest.mark.parametrize("is_proxy", [False, True])
def test_a_name_that_no_host_can_have_is_an_error_without_another_try(
    tmp_path, monkeypatch, host, is_proxy
):
    if is_proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{host}:80")
        host = "example.org"
    with pytest.raises(DownloadError, match="cannot be fetched"):
        download(f"http://{host}/a.zip", tmp_path / "part", fail)


# ---- Certificates


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """Returns a PEM file with a key and a certificate that it signed itself, for 127.0.0.1."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a company")])
    now = datetime.datetime.now(datetime.timezone.utc)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("certificate") / "company.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def secure_server(certificate, monkeypatch):
    """Returns a server whose certificate only `certificate` vouches for."""
    for variable in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(variable, raising=False)
    for variable in download_server.PROXY_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.lower(), raising=False)
    with download_server.running(certificate) as server:
        server.files["a.zip"] = CONTENT
        yield server


def test_a_server_with_an_unknown_certificate_is_an_error_without_another_try(
    secure_server, tmp_path
):
    with pytest.raises(DownloadError, match="CERTIFICATE_VERIFY_FAILED") as error:
        download(f"{secure_server.url}/a.zip", tmp_path / "part", fail)
    assert "SSL_CERT_FILE" in error.value.fix


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_the_certificates_of_the_environment_are_trusted(
    secure_server, certificate, tmp_path, monkeypatch, variable
):
    monkeypatch.setenv(variable, str(certificate))
    download(f"{secure_server.url}/a.zip", tmp_path / "part")


def test_one_bundle_does_not_hide_the_other(secure_server, certificate, tmp_path, monkeypatch):
    import certifi

    monkeypatch.setenv("SSL_CERT_FILE", certifi.where())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    download(f"{secure_server.url}/a.zip", tmp_path / "part")


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_bundle_that_cannot_be_read_is_an_error_with_its_path(
    secure_server, tmp_path, monkeypatch, variable
):
    monkeypatch.setenv(variable, str(tmp_path / "none.pem"))
    with pytest.raises(DownloadError, match=rf"{variable} .*none\.pem"):
        download(f"{secure_server.url}/a.zip", tmp_path / "part", fail)


def test_a_proxy_passes_https_on(secure_server, server, certificate, tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("HTTPS_PROXY", server.url)
    download(f"{secure_server.url}/a.zip", tmp_path / "part")
    assert server.proxied == [secure_server.url.removeprefix("https://")]
