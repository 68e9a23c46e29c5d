"""`deploy/audit` with the real pip-audit, and a service of vulnerabilities on loopback."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

AUDIT = Path(__file__).parents[3] / "deploy" / "audit"
VULNERABILITY = {
    "id": "PYSEC-0000-1",
    "summary": "a hole",
    "affected": [{"package": {"name": "holed", "ecosystem": "PyPI"}}],
}
HASH = "0" * 64


class _Service(BaseHTTPRequestHandler):
    """Knows one vulnerability, of `holed`, and nothing at all of `unknown`."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        name = asked["package"]["name"]
        self.send_response(503 if name == "unknown" else 200)
        self.end_headers()
        self.wfile.write(json.dumps({"vulns": [VULNERABILITY]} if name == "holed" else {}).encode())

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def service() -> Iterator[str]:
    """Its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Service) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def audit(tmp_path: Path, url: str, *locks: list[str]) -> subprocess.CompletedProcess[str]:
    """What the script says of lock files with these packages."""
    files = []
    for number, names in enumerate(locks):
        file = tmp_path / f"{number}.lock"
        file.write_text("".join(f"{name}==1.0 \\\n    --hash=sha256:{HASH}\n" for name in names))
        files.append(str(file))
    return subprocess.run(
        [str(AUDIT), str(Path(sys.executable).with_name("pip-audit")), *files],
        env={
            **os.environ,
            "PIP_AUDIT_VULNERABILITY_SERVICE": "osv",
            "PIP_AUDIT_OSV_URL": url,
            "XDG_CACHE_HOME": str(tmp_path),
            "no_proxy": "127.0.0.1",
        },
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("locks", "status", "said"),
    [
        ((["whole"],), 0, "0.lock: no vulnerability is known"),
        ((["holed"], ["whole"]), 1, "PYSEC-0000-1"),
        ((["whole", "unknown"], ["holed"]), 2, "0.lock: NOT AUDITED"),
    ],
)
def test_what_is_not_known_is_never_passed_over(
    tmp_path: Path, locks: tuple[list[str], ...], status: int, said: str
) -> None:
    """Prevents an audit that could not be made from looking like one that found nothing."""
    with service() as url:
        result = audit(tmp_path, url, *locks)
    assert result.returncode == status, result.stderr
    assert said in result.stdout + result.stderr


def test_a_service_that_is_away_is_not_audited(tmp_path: Path) -> None:
    """Prevents a machine without a network from auditing nothing, and calling it clean."""
    with service() as url:
        pass
    result = audit(tmp_path, url, ["whole"])
    assert result.returncode == 2, result.stderr
    assert "NOT AUDITED" in result.stderr
