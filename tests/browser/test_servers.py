"""The ground the other tests stand on: servers that work, and pages whose misconduct is told."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

import fleetkit
from tests.support.chromium import required_chromium, well_behaved
from tests.support.jupyter_servers import Voila, write_notebook

TINY = '''
import anywidget, ipywidgets

class Tiny(anywidget.AnyWidget):
    _esm = """
    export default {
      render({ model, el }) {
        model.on("msg:custom", (message) => { el.textContent = message.text; });
        model.send({ text: "hello" });
      },
    };
    """

tiny, heard = Tiny(), []
tiny.on_msg(lambda _, message, buffers: tiny.send({"text": message["text"] + " yourself"}))
button = ipywidgets.Button(description="Press")
button.on_click(lambda _: (heard.append("pressed"), tiny.send({"text": "it was pressed"})))
ipywidgets.VBox([button, tiny])
'''
TELL = "import os, fleetkit\nprint(heard, fleetkit.__file__, os.environ['FLEETKIT_HOME'])"
OUTSIDE = "example.com"
# What a page does, and what is said of it.
MISCONDUCT = {
    f"fetch('http://{OUTSIDE}/asked').catch(() => 0)": f"left this machine: http://{OUTSIDE}/asked",
    f"document.body.append(Object.assign(new Image(), {{ src: '//{OUTSIDE}/i' }}))": "/i",
    f"new WebSocket('ws://{OUTSIDE}/socket')": f"left this machine: ws://{OUTSIDE}/socket",
    f"open('http://{OUTSIDE}/opened')": f"left this machine: http://{OUTSIDE}/opened",
    "setTimeout(() => { throw Error('thrown') })": "page: thrown",
    "Promise.reject(Error('rejected'))": "page: rejected",
    "console.error('complained')": "console: complained",
    "fetch('/is-not-there')": "status of 404",
}

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(params=["lab", "notebook7"])
def server(request):
    """Each of the two in which a notebook is edited."""
    return request.getfixturevalue(request.param)


def press(page):
    """Hear from the kernel, press the button, and hear from it again."""
    expect(page.get_by_text("hello yourself", exact=True)).to_be_visible()
    page.get_by_role("button", name="Press").click()
    expect(page.get_by_text("it was pressed", exact=True)).to_be_visible()


def test_a_widget_works_in_an_editor(server, new_page):
    """It talks with a kernel that runs this package, in a home of its own."""
    server.write("tiny.ipynb", [TINY, TELL])
    notebook = server.open(new_page(), "tiny.ipynb")
    notebook.run(0)
    press(notebook.page)
    heard = notebook.run_to_its_end(1)
    assert "['pressed']" in heard
    assert fleetkit.__file__ in heard
    assert "/fleetkit_home" in heard
    notebook.shut_down()


def test_a_widget_works_in_voila(browser, new_page, tmp_path):
    """With the package's template, which fetches no style from another machine."""
    served = Voila(tmp_path / "voila", write_notebook(tmp_path / "tiny.ipynb", [TINY]))
    try:
        page = new_page()
        page.goto(served.url)
        press(page)
        page.close()  # or it would miss the server
    finally:
        served.stop()


def behave(browser, lab, script):
    """Open a page of the server and do something there."""
    with well_behaved(browser) as new_page:
        page = new_page()
        page.goto(f"http://127.0.0.1:{lab.port}/login")
        page.evaluate(f"async () => {{ {script}; }}")
        page.wait_for_timeout(300)  # nothing in the page says that it is over


@pytest.mark.parametrize("script", MISCONDUCT)
def test_misconduct_of_a_page_is_told(browser, lab, script):
    """A request that leaves this machine, or an error, fails the test of the page."""
    with pytest.raises(AssertionError) as failed:
        behave(browser, lab, script)
    assert MISCONDUCT[script] in str(failed.value)


def test_a_page_that_stays_here_is_not_told_of(browser, lab):
    """Requests to this machine, data and blobs are what a front end is made of."""
    behave(browser, lab, "await fetch('data:text/plain,here'); await fetch('/api')")
    behave(browser, lab, "await fetch(URL.createObjectURL(new Blob(['here'])))")


def test_a_machine_without_a_browser_skips_and_ci_fails(monkeypatch):
    """An analyst's machine may have none; what checks the package must."""
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no Chromium on this machine"):
        required_chromium()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no Chromium on this machine"):
        required_chromium()
