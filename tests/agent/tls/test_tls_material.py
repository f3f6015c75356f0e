"""What the files of a tls block are found to be, before anything listens."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from agent.tls.identity import TlsRole
from agent.tls.material import read_material
from agent.tls.settings import TlsSettings
from tests.certificates import DAY_SECONDS, Authority, Files


def settings_of(files, **keys):
    return TlsSettings(
        **{"http": True, "rpc": True, "verify_server_hostname": True, **keys},
        ca_file=files.ca,
        cert_file=files.certificate,
        key_file=files.key,
    )


def read(settings, role=TlsRole.SERVER, region="global"):
    """Read at the present moment: material, keys of fatal findings, keys of the others, all messages."""
    material, findings = read_material(settings, role, region, time.time())
    fatal = [finding.key for finding in findings if finding.is_fatal]
    return material, fatal, [f.key for f in findings if not f.is_fatal], "\n".join(f.message for f in findings)


def test_good_files_are_kept_as_read(tmp_path):
    """
    With names and ends; nothing is found.
    """
    files = Authority(tmp_path).certificate("server", names=("a.example",))

    material, *findings = read(settings_of(files))

    assert [[], [], ""] == findings
    assert ("a.example", "server.global.nomad", "localhost") == material.names
    assert time.time() + 2 * DAY_SECONDS == pytest.approx(material.certificate_expires, abs=60)
    assert time.time() + 30 * DAY_SECONDS == pytest.approx(material.authority_expires, abs=60)
    assert files.key.read_bytes() == material.key


def test_the_first_authority_of_several_tells_its_end(tmp_path):
    """
    Of a ca_file in the middle of a change of CA; a certificate of either is fine.
    """
    old, new = Authority(tmp_path, "old", now=time.time() - DAY_SECONDS), Authority(tmp_path, "new")
    both = tmp_path / "both.pem"
    both.write_bytes(old.file.read_bytes() + new.file.read_bytes())

    material, *findings = read(settings_of(new.certificate("server", ca=both)))

    assert [[], [], ""] == findings
    assert time.time() + 29 * DAY_SECONDS == pytest.approx(material.authority_expires, abs=60)


def broken(tmp_path, how):
    """Return settings of files with one thing wrong."""
    authority = Authority(tmp_path, "a")
    files = authority.certificate("server")
    match how:
        case "gone":
            return settings_of(replace(files, certificate=tmp_path / "gone.pem"))
        case "other key":
            return settings_of(replace(files, key=authority.certificate("client").key))
        case "other ca":
            return settings_of(replace(files, ca=Authority(tmp_path, "b").file))
        case "no pem":
            (tmp_path / "text").write_text("text")
            return settings_of(Files(tmp_path / "text", tmp_path / "text", tmp_path / "text"))
        case "swapped":
            return settings_of(Files(files.ca, files.key, files.certificate))
        case "encrypted":
            key = serialization.load_pem_private_key(files.key.read_bytes(), None)
            locked = serialization.BestAvailableEncryption(b"x")
            files.key.write_bytes(
                key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
            )
            return settings_of(files)
        case "huge":
            files.ca.write_bytes(b"x" * 1_100_000)
            return settings_of(files)
        case _:
            return TlsSettings(rpc=True)


@pytest.mark.parametrize(
    ("how", "keys", "words"),
    [
        ("gone", ["cert_file"], ("gone.pem cannot be read (No such file or directory)",)),
        ("other key", ["key_file"], ("a-global-client-key.pem is not the key of", "a-global-server.pem")),
        ("other ca", ["cert_file"], ("no authority in", "b.pem signed")),
        ("no pem", ["cert_file", "ca_file"], ("holds no certificate in PEM",)),
        ("swapped", ["cert_file"], ("a-global-server-key.pem holds no certificate",)),
        ("encrypted", ["key_file"], ("is encrypted: decrypt it",)),
        ("huge", ["ca_file"], ("has more than 1048576 bytes",)),
        ("unset", ["ca_file", "cert_file", "key_file"], ("ca_file is not set, and tls.rpc = true needs it",)),
    ],
)
def test_what_cannot_work_is_told_under_its_key(tmp_path, how, keys, words):
    """
    A file that is not there, no PEM, another's key, another's CA, a password.
    """
    material, fatal, _, text = read(broken(tmp_path, how))

    assert material is None
    assert keys == fatal
    assert all(word in text for word in words), text


@pytest.mark.parametrize(
    ("role", "region", "holder", "fits"),
    [
        ("server", "global", TlsRole.SERVER, True),
        ("server", "eu", TlsRole.SERVER, False),
        ("client", "global", TlsRole.SERVER, False),
        ("client", "global", TlsRole.CLIENT, True),
        ("server", "global", TlsRole.CLIENT, True),
        ("cli", "global", TlsRole.CLIENT, False),
    ],
)
def test_an_agent_s_certificate_says_what_it_is(tmp_path, role, region, holder, fits):
    """
    Others would refuse it, so it is refused at the start, unless nobody checks names.
    """
    files = Authority(tmp_path).certificate(role, region)

    material, fatal, _, text = read(settings_of(files), holder)

    assert ([] if fits else ["cert_file"]) == fatal
    assert fits is (material is not None)
    assert fits or f"not for {holder.value}.global.nomad" in text
    assert read(settings_of(files, verify_server_hostname=False), holder)[0] is not None


def test_what_has_ended_or_not_begun_is_told_and_used(tmp_path):
    """
    A renewal takes a SIGHUP, and clocks go wrong: neither keeps an agent from starting.
    """
    authority = Authority(tmp_path)
    early = authority.certificate("server", as_name="early", now=time.time() + DAY_SECONDS)

    expired, fatal, told, text = read(settings_of(authority.expired("server")))
    assert (True, [], ["cert_file"]) == (expired is not None, fatal, told)
    assert "has expired" in text
    assert "SIGHUP" in text
    _, fatal, told, text = read(settings_of(early))
    assert ([], ["cert_file"]) == (fatal, told)
    assert "is not valid before" in text


def test_an_expired_authority_is_told(tmp_path):
    """
    Under ca_file.
    """
    old = Authority(tmp_path, now=time.time() - 40 * DAY_SECONDS)

    _, fatal, told, _ = read(settings_of(old.certificate("server")))

    assert ([], ["ca_file"]) == (fatal, told)


def test_http_alone_needs_no_authority(tmp_path):
    """
    Nobody's certificate is checked then; with verify_https_client it is.
    """
    files = Authority(tmp_path).certificate("server")
    settings = replace(settings_of(files, rpc=False), ca_file=None)

    material, *findings = read(settings)
    assert [[], [], ""] == findings
    assert (b"", None) == (material.authority, material.authority_expires)
    _, fatal, _, text = read(replace(settings, verify_https_client=True))
    assert ["ca_file"] == fatal
    assert "tls.verify_https_client = true needs it" in text


def test_nothing_is_needed_while_tls_is_off():
    """
    Paths of files that are not there are nobody's business then.
    """
    assert () == TlsSettings(verify_https_client=True, ca_file=Path("/gone")).needed_files
