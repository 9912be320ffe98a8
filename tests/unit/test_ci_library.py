"""A library's files, the tag's name, and an index that answers in all the ways that indexes do."""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import pytest

from relman.ci.library.files import File, normalized, read_package
from relman.ci.library.index import Index, index_credentials
from relman.ci.library.publish import kept_package, require_clean
from relman.ci.library.tag import tag_name
from relman.config.schema.values_stages import git_tag, index_url, remote
from relman.model.errors import AccessDenied, BuildFailed, PolicyRefused, RegistryError, Unreachable, UsageError
from relman.model.image import ConfigDigest, Platform
from relman.model.run import Commit, RunName, TestReport
from relman.registry.auth import Credentials
from tests.lab.serving import serving
from tests.unit.values import hexes

METADATA = "Metadata-Version: 2.1\nName: Money.Box\nVersion: {}\nSummary: sums\n"


def wheel(directory: Path, version: str = "1.0", name: str = "money_box") -> Path:
    """A wheel as small as can be."""
    file = directory / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{name}-{version}.dist-info/METADATA", METADATA.format(version))
        archive.writestr(f"{name}-{version}.dist-info/WHEEL", "Wheel-Version: 1.0\n")
    return file


def sdist(directory: Path, version: str = "1.0") -> Path:
    """An sdist as small as can be."""
    file = directory / f"money_box-{version}.tar.gz"
    content = METADATA.format(version).encode()
    with tarfile.open(file, "w:gz") as archive:
        member = tarfile.TarInfo(f"money_box-{version}/PKG-INFO")
        member.size = len(content)
        archive.addfile(member, BytesIO(content))
        archive.addfile(tarfile.TarInfo(f"money_box-{version}/money.py"))
    return file


def test_a_package_is_an_sdist_and_wheels_of_one_version(tmp_path: Path) -> None:
    """Name, version and hashes are read from the files; what else lies there is left."""
    files = [sdist(tmp_path), wheel(tmp_path)]
    (tmp_path / "notes.txt").write_text("x")
    package = read_package(tmp_path)
    assert (package.project, package.version) == ("money-box", "1.0")
    assert package.hashes == {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def test_what_is_no_package_is_a_failed_build(tmp_path: Path) -> None:
    """Nothing, one half, two versions, a broken archive, a file of twice the same kind: BuildFailed, in words."""
    with pytest.raises(BuildFailed, match="made nothing"):
        read_package(tmp_path)
    wheel(tmp_path)
    with pytest.raises(BuildFailed, match="one sdist and at least one wheel"):
        read_package(tmp_path)
    second = sdist(tmp_path, "2.0")
    with pytest.raises(BuildFailed, match="same project and version"):
        read_package(tmp_path)
    second.write_bytes(b"no archive")
    with pytest.raises(BuildFailed, match="not a valid library file"):
        read_package(tmp_path)


def test_files_are_made_once(tmp_path: Path) -> None:
    """What an earlier attempt made is used again; a failed making leaves nothing behind."""

    def fail(into: Path) -> None:
        wheel(into)

    def both(into: Path) -> None:
        sdist(into)
        wheel(into)

    kept = tmp_path / "libraries/abc"
    with pytest.raises(BuildFailed):
        kept_package(kept, fail)
    assert list(kept.parent.iterdir()) == []
    first = kept_package(kept, both)
    assert kept_package(kept, fail).hashes == first.hashes


@pytest.mark.parametrize(
    ("template", "name"),
    [("v{version}", "v1.2.0+local"), ("{job}-{build}", "team/money-box-7"), ("c-{commit}", "c-aaaaaaaaaaaa")],
)
def test_a_tag_s_name(template: str, name: str) -> None:
    """Fields are filled in, and what git forbids becomes a dash."""
    assert tag_name(template, RunName("team/money box", "7"), Commit("a" * 40), "1.2.0+local") == name


@pytest.mark.parametrize(
    "text", ["-v{version}", "v {version}", "v..{version}", "{version}.lock", "{version}/", "{x}", "@"]
)
def test_a_template_that_git_would_not_take_is_refused(text: str) -> None:
    """git-check-ref-format's rules, in relman.yml already."""
    with pytest.raises(ValueError, match=r"git allows|unknown field"):
        git_tag(text)


@pytest.mark.parametrize("url", ["http://x/", "https://", "https://u:p@x/", "https://x/?a=b", "https://x:port/", "x"])
def test_an_index_is_an_https_url_without_a_password(url: str) -> None:
    """Anything else is refused in relman.yml."""
    with pytest.raises(ValueError, match=r"expected a URL|no user or password"):
        index_url(url)
    with pytest.raises(ValueError, match="git remote"):
        remote("--upload-pack=x")


def test_only_a_clean_commit_is_released() -> None:
    """Outside git, or with changes, there is nothing that a tag could name."""

    def report(commit: Commit) -> TestReport:
        config = ConfigDigest(f"sha256:{hexes('x')}")
        return TestReport(RunName("money", "1"), "money", config, Platform("linux", "amd64"), commit, ())

    require_clean(report(Commit("a" * 40)))
    for commit in (Commit(), Commit("a" * 40, dirty=True)):
        with pytest.raises(PolicyRefused):
            require_clean(report(commit))


def test_the_password_is_for_one_index() -> None:
    """RELMAN_INDEX keeps it from another index that a relman.yml may name; half a pair is an error."""
    env = {"RELMAN_INDEX_USERNAME": "ci", "RELMAN_INDEX_PASSWORD": "s"}
    assert index_credentials("https://a:1/x/", env) == Credentials("ci", "s")
    assert index_credentials("https://a:1/x/", {**env, "RELMAN_INDEX": "a:1"}) == Credentials("ci", "s")
    assert index_credentials("https://b/", {**env, "RELMAN_INDEX": "a:1"}) is None
    assert index_credentials("https://b/", {}) is None
    with pytest.raises(UsageError):
        index_credentials("https://a:1/x/", {"RELMAN_INDEX_USERNAME": "ci"})


class Served(ThreadingHTTPServer):
    """An index: its page for money-box, the status of an upload, files, and what it was asked with."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.page, self.status = "", 200
        self.files: dict[str, bytes] = {}
        self.passwords: list[tuple[str, bool]] = []

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """Answers for Served."""

    server: Served

    def answer(self, status: int, body: bytes = b"") -> None:
        """Note who asked, and answer."""
        self.server.passwords.append((self.path, "Authorization" in self.headers))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        """The page or a file."""
        if self.path == "/repo/simple/money-box/" and self.server.page:
            return self.answer(200, self.server.page.encode())
        found = self.server.files.get(self.path)
        return self.answer(404) if found is None else self.answer(200, found)

    def do_POST(self) -> None:
        """An upload."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(self.server.status)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def served() -> Iterator[Served]:
    """An index that is up."""
    server = Served()
    with serving(server):
        yield server


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> File:
    """The wheel of a package."""
    home = tmp_path_factory.mktemp("package")
    sdist(home)
    wheel(home)
    return read_package(home).files[-1]


@pytest.mark.parametrize("path", ["/repo", "/repo/", "/repo/simple", "/repo/simple/"])
def test_a_file_is_known_by_its_hash(served: Served, file: File, path: str) -> None:
    """The page's sha256 decides; where it gives another kind or none the file itself is read; a name is no proof."""
    with closing(Index(served.url + path, Credentials("ci", "s"), None)) as index:
        assert not index.has(file)
        served.page = f"<a href='../../f/{file.name}#sha256={file.sha256}'>x</a>"
        assert index.has(file)
        served.files = {f"/repo/f/{file.name}": file.path.read_bytes()}
        for fragment in ("", "#md5=00"):
            served.page = f"<a href='/repo/f/{file.name}{fragment}'>x</a>"
            assert index.has(file)
        served.files = {f"/repo/f/{file.name}": b"other"}
        with pytest.raises(PolicyRefused, match="another money_box"):
            index.has(file)
        served.page = f"<a href='x/{file.name}#sha256={'0' * 64}'>x</a>"
        with pytest.raises(PolicyRefused):
            index.has(file)
    assert all(sent for _, sent in served.passwords)


def test_the_password_goes_to_no_other_host(served: Served, file: File) -> None:
    """Where an index keeps its files elsewhere, they are read without the password."""
    other = f"http://localhost:{served.server_address[1]}"
    served.page = f"<a href='{other}/f/{file.name}'>x</a>"
    served.files = {f"/f/{file.name}": file.path.read_bytes()}
    with closing(Index(f"{served.url}/repo/", Credentials("ci", "s"), None)) as index:
        assert index.has(file)
    assert dict(served.passwords) == {"/repo/simple/money-box/": True, f"/f/{file.name}": False}


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, AccessDenied), (403, AccessDenied), (302, RegistryError), (405, RegistryError), (500, RegistryError)],
)
def test_an_upload_that_is_not_taken(served: Served, file: File, status: int, error: type[Exception]) -> None:
    """Each refusal is an error of its kind; an upload is never redirected."""
    served.status = status
    with closing(Index(f"{served.url}/repo/", Credentials("ci", "s"), None)) as index, pytest.raises(error):
        index.upload(file)


def test_an_upload_is_read_back(served: Served, file: File) -> None:
    """Success is only believed where the file is shown; a conflict is success where somebody put the same there."""
    with closing(Index(f"{served.url}/repo/", None, None)) as index:
        with pytest.raises(RegistryError, match="does not show it"):
            index.upload(file)
        served.page, served.status = f"<a href='{file.name}#sha256={file.sha256}'>x</a>", 409
        index.upload(file)
        served.page = f"<a href='{file.name}#sha256={'0' * 64}'>x</a>"
        with pytest.raises(PolicyRefused):
            index.upload(file)


def test_an_index_that_is_away(file: File) -> None:
    """Nothing listens: Unreachable, with the host."""
    with closing(Index("http://127.0.0.1:1/", None, None)) as index, pytest.raises(Unreachable) as caught:
        index.has(file)
    assert caught.value.host == "127.0.0.1:1"


def test_names_as_indexes_compare_them() -> None:
    """PEP 503."""
    assert normalized("Money_.Box--X") == "money-box-x"
