"""What load balancers and operators ask first."""

from dataclasses import replace
from pathlib import Path

from litestar.testing import TestClient

from serving.http.app import create_app
from tests.serving.conftest import settings_for
from tests.serving.keys import new_key


def test_without_keys_nobody_can_be_let_in(home: Path) -> None:
    """A ring that cannot be read: every request would get 503, so none should be sent here."""
    new_key(home)
    (ring,) = (file for file in (home / "keys").rglob("*") if file.is_file())
    ring.write_text("not json")
    with TestClient(create_app(settings_for(home))) as client:
        assert client.get("/healthz").status_code == 200
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["detail"] == "API keys cannot be read"


def test_metrics_may_be_opened(home: Path) -> None:
    with TestClient(create_app(settings_for(home))) as closed:
        assert closed.get("/metrics").status_code == 401
    with TestClient(create_app(replace(settings_for(home), metrics_open=True))) as opened:
        assert opened.get("/metrics").status_code == 200
        assert opened.get("/v1/status").status_code == 401
