"""What the tests of reports share."""

import pytest

from crossask.report import figures


@pytest.fixture(name="all_formats")
def fixture_all_formats():
    """Requested by tests of pictures as SVG and PDF, whose fonts take longer than the rest."""


@pytest.fixture(autouse=True)
def pictures_are_png_alone(request, monkeypatch):
    if "all_formats" not in request.fixturenames:
        monkeypatch.setattr(figures, "FORMATS", {"png": figures.FORMATS["png"]})
