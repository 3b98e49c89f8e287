"""The notebooks run from start to end in a real kernel, and show what they promise."""

from __future__ import annotations

import re
from pathlib import Path

import nbclient
import nbformat
import pytest
from nbformat import NotebookNode

from tests.support.processes import processes_of
from tests.support.readme import ROOT

CELL_TIMEOUT_S = 60
PRIVATE = (
    "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR",
    "FLEETKIT_HOME",
)  # fmt: skip


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the reader's kernel keeps everything."""
    return tmp_path_factory.mktemp("reader")


@pytest.fixture(scope="module")
def tour(reader: Path) -> NotebookNode:
    """01_tour.ipynb, executed where a reader would: in its own folder."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in PRIVATE:  # nothing depends on a writable home, nothing is left in it
            folder = reader / variable.lower()
            folder.mkdir(mode=0o700)
            patch.setenv(variable, str(folder))
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("PYTHONWARNINGS", "error::FutureWarning,error::UserWarning:__main__")
        patch.setenv("TMPDIR", str(reader))
        return executed(ROOT / "notebooks" / "01_tour.ipynb")


def executed(path: Path) -> NotebookNode:
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT_S,
        kernel_name="python3",
        store_widget_state=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    return client.execute()


def shown(notebook: NotebookNode, source: str) -> str:
    """What the one cell with this line of code shows, as text."""
    (cell,) = (c for c in notebook.cells if c.cell_type == "code" and source in c.source)
    parts = [
        output["text"] if output.output_type == "stream" else output["data"]["text/plain"]
        for output in cell.outputs
    ]
    return "\n".join(parts)


def test_the_tour_runs_without_a_word_on_standard_error(tour):
    """No cell fails, warns or complains."""
    for cell in tour.cells:
        for output in cell.get("outputs", []):
            assert output.output_type in {"execute_result", "stream", "display_data"}, cell.source
            assert output.get("name") != "stderr", (cell.source, output)


def test_every_cell_is_introduced(tour):
    """A reader is told what a cell shows before seeing it."""
    for before, cell in zip(tour.cells, tour.cells[1:], strict=False):
        if cell.cell_type == "code":
            assert before.cell_type == "markdown", cell.source


def test_the_tour_shows_every_account(tour):
    """69 accounts are read, and the totals are not known where agents do not tell them."""
    (totals,) = (cell for cell in tour.cells if cell.source == "fleet.summary()")
    text = totals.outputs[0]["data"]["text/plain"]
    assert re.search(r"69 +69 +0 +0 +4600441\.86 +NaN", text)
    assert "trades of 69 accounts" in shown(tour, "fleet.trades(days=90)")


def test_a_label_asks_nobody_and_an_invalidation_one(tour):
    """The tour's two claims about requests are what the cells show."""
    assert "requests made: 0" in shown(tour, 'set_phase(7100012, "WIN")')
    assert re.search(r"cache +68\nlive +1\n", shown(tour, "cache.invalidate(7100012)"))
    assert "7100001 and 7100002" in shown(tour, "except fk.LabelError")


def test_failed_accounts_stay_and_recover(tour):
    """Four kinds of failure show four statuses with figures, and end."""
    failed = shown(tour, "for account, row in failed.iterrows()")
    for status in ("disconnected", "offline", "error", "wrong_account"):
        assert f"  {status}: " in failed
    assert failed.count("stale") == 4
    assert "NaN" not in failed
    reasons = shown(tour, "except fk.PartialResult as partial")
    for account in range(7100001, 7100005):
        assert f"\n{account}  " in reasons
    assert "missing: [7100001, 7100002, 7100003, 7100004]" in shown(tour, "strict=False")
    assert re.search(r"connected +69\n", shown(tour, "faults.clear()"))


def test_awaited_cells_answer(tour):
    """A cell may await several calls at once."""
    assert "'EURUSD': (1." in shown(tour, "await asyncio.gather")


def test_the_tour_ends_closed(tour):
    """The last cell closes the fleet."""
    assert tour.cells[-1].source.startswith("fleet.close()")
    assert "closed" in tour.cells[-1].outputs[0]["data"]["text/plain"]


def test_nothing_of_the_tour_is_left(tour, reader):
    """The simulated fleet's process, its folder and the kernel are gone with the notebook."""
    assert [path.name for path in reader.glob("fleetkit-demo-*")] == []
    assert processes_of(reader) == []
