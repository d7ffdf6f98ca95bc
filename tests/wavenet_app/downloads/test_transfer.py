import hashlib
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from archive_server import Served, serving

from wavenet_app.core.errors import UserError
from wavenet_app.downloads.data_set import Archive
from wavenet_app.downloads.transfer import Patience, fetch

CONTENT = np.random.default_rng(0).bytes(400_000)
OTHER = np.random.default_rng(1).bytes(400_000)
QUICK = Patience(connect=1.0, read=0.4, tries=3, pause=0.01)


def ignore(done, total):
    """Shows no progress."""


@pytest.fixture
def server():
    with serving() as running:
        yield running


@pytest.fixture
def archive(server):
    server.files["a.tar"] = Served(CONTENT)
    digest = hashlib.sha256(CONTENT).hexdigest()
    return Archive("a.tar", (server.url("a.tar"),), "x", "", len(CONTENT), 1_000_000, checksum=f"sha256:{digest}")


def got(archive, folder, patience=QUICK):
    """Fetches an archive and returns its bytes."""
    path, _ = fetch(archive, folder, ignore, patience)
    assert not list(folder.glob("*.part*"))
    return path.read_bytes()


def refusal(archive, folder):
    """Returns the one line that says why an archive could not be fetched."""
    with pytest.raises(UserError) as caught:
        fetch(archive, folder, ignore, QUICK)
    assert not (folder / archive.name).exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def leave(folder, archive, content, url="", validator='"one"'):
    """Writes what an interrupted download leaves."""
    (folder / f"{archive.name}.part").write_bytes(content)
    state = {"url": url or archive.urls[0], "validator": validator}
    (folder / f"{archive.name}.part.json").write_text(json.dumps(state))


def test_an_archive_arrives_whole(archive, tmp_path):
    assert got(archive, tmp_path) == CONTENT


def test_a_download_resumes_where_it_stopped(server, archive, tmp_path):
    leave(tmp_path, archive, CONTENT[:150_000])
    assert got(archive, tmp_path) == CONTENT
    assert server.asked == [("a.tar", "bytes=150000-")]
    assert server.sent == 250_000


def test_a_connection_cut_at_every_tenth_costs_no_byte(server, archive, tmp_path):
    server.files["a.tar"].cut_after = 40_000
    assert got(archive, tmp_path) == CONTENT
    assert server.sent == len(CONTENT)
    assert len(server.asked) == 10


def test_without_ranges_a_cut_download_starts_again(server, archive, tmp_path):
    server.files["a.tar"] = Served(CONTENT, ranges=False, cut_after=300_000, cuts=1)
    assert got(archive, tmp_path) == CONTENT
    assert server.sent == 700_000


def test_a_file_that_has_changed_is_not_glued_to_the_old_half(server, archive, tmp_path):
    leave(tmp_path, archive, OTHER[:150_000], validator='"old"')
    assert got(archive, tmp_path) == CONTENT


def test_without_a_checksum_a_changed_file_starts_again_too(server, archive, tmp_path):
    loose = replace(archive, checksum="", exact=False)
    leave(tmp_path, loose, OTHER[:150_000], validator='"old"')
    assert got(loose, tmp_path) == CONTENT
    leave(tmp_path, loose, OTHER[:150_000], validator=None)
    (tmp_path / "a.tar").unlink()
    assert got(loose, tmp_path) == CONTENT


def test_a_wrong_half_without_a_changed_etag_is_found_by_the_checksum(server, archive, tmp_path):
    leave(tmp_path, archive, OTHER[:150_000])
    assert got(archive, tmp_path) == CONTENT
    assert [span for _, span in server.asked] == ["bytes=150000-", None]


def test_a_download_killed_after_its_last_byte_is_complete(server, archive, tmp_path):
    leave(tmp_path, archive, CONTENT)
    assert got(archive, tmp_path) == CONTENT
    assert not server.asked
    (tmp_path / "a.tar").unlink()
    loose = replace(archive, checksum="", exact=False)
    leave(tmp_path, loose, CONTENT)
    assert got(loose, tmp_path) == CONTENT
    assert server.sent == 0


def test_another_mirror_continues_what_the_first_one_began(server, archive, tmp_path):
    server.files["a.tar"] = Served(CONTENT, cut_after=100_000, cuts=1)
    server.files["b.tar"] = Served(CONTENT, etag='"two"')

    def move(done, total):
        if done == 100_000:
            server.files["a.tar"].status = 404

    path, _ = fetch(replace(archive, urls=(server.url("a.tar"), server.url("b.tar"))), tmp_path, move, QUICK)
    assert path.read_bytes() == CONTENT
    assert server.asked[-1] == ("b.tar", "bytes=100000-")
    assert server.sent == len(CONTENT)


def test_a_redirect_is_followed_and_a_circle_is_refused(server, archive, tmp_path):
    server.files["moved"] = Served(status=302, location=server.url("a.tar"))
    server.files["circle"] = Served(status=302, location=server.url("circle"))
    assert "too many redirects" in refusal(replace(archive, urls=(server.url("circle"),)), tmp_path)
    assert got(replace(archive, urls=(server.url("moved"),)), tmp_path) == CONTENT


def test_a_busy_server_is_tried_again(server, archive, tmp_path):
    server.files["a.tar"].busy = 2
    assert got(archive, tmp_path) == CONTENT
    server.files["a.tar"].busy = 99
    (tmp_path / "a.tar").unlink()
    assert "the server answers 503" in refusal(archive, tmp_path)


def test_a_slow_server_is_waited_for_and_a_silent_one_is_not(server, archive, tmp_path):
    server.files["a.tar"] = Served(CONTENT, pause=0.02, block=40_000)
    assert got(archive, tmp_path) == CONTENT
    (tmp_path / "a.tar").unlink()
    server.files["a.tar"] = Served(CONTENT, pause=1.5)
    assert "sends nothing for too long" in refusal(archive, tmp_path)


@pytest.mark.parametrize(
    ("served", "reason"),
    [
        (Served(status=404), "it is not there (404)"),
        (Served(status=403), "the server refuses it (403)"),
        (Served(status=401), "the server wants a login (401)"),
        (Served(CONTENT[:-5]), "the length is 399,995 bytes, but 400,000 were published"),
        (Served(b"<html>log in</html>", content_type="text/html; charset=utf-8"), "a web page, not an archive"),
        (Served(b"\n<!DOCTYPE html><html>quota" + bytes(399_973)), "a web page, not an archive"),
        (Served(OTHER), "the checksum is wrong"),
        (Served(CONTENT, cut_after=1, cuts=-1, ranges=False), "the connection was cut"),
    ],
    ids=["404", "403", "401", "length", "html type", "html body", "checksum", "always cut"],
)
def test_what_a_mirror_cannot_give_is_refused_in_one_line(server, archive, tmp_path, served, reason):
    server.files["a.tar"] = served
    assert reason in refusal(archive, tmp_path)
    server.files["a.tar"], server.files["b.tar"] = served, Served(CONTENT)
    assert got(replace(archive, urls=(server.url("a.tar"), server.url("b.tar"))), tmp_path) == CONTENT


def test_a_server_that_is_not_there_is_named(archive, tmp_path):
    assert "http://127.0.0.1:9/a.tar: the server cannot be reached" in refusal(
        replace(archive, urls=("http://127.0.0.1:9/a.tar",)), tmp_path
    )


def test_a_full_disk_keeps_what_has_arrived_and_resumes(server, archive, tmp_path, full_disk):
    with full_disk(200_000):
        assert re.search(r"the disk of .* is full at \d+ kB of a.tar; free some space", refusal(archive, tmp_path))
    server.sent = 0
    assert got(archive, tmp_path) == CONTENT
    assert server.asked[-1] == ("a.tar", "bytes=200000-")
    assert server.sent < 300_000  # the first answer may still have been on its way


def test_a_kept_archive_is_checked_before_it_is_used(server, archive, tmp_path):
    (tmp_path / "a.tar").write_bytes(OTHER)
    assert got(archive, tmp_path) == CONTENT
    server.asked.clear()
    assert got(archive, tmp_path) == CONTENT
    assert not server.asked
