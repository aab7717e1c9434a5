"""The notebooks run in a fresh kernel on the committed records, assert what they say, and store what they show.

Run as a script, this file executes them, or those named, and stores their outputs: python tests/test_notebooks.py [NAME]...
"""

from __future__ import annotations

import copy
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LARGEST = 400_000  # bytes in a file
SKIPPED = re.compile(r"^.*skipped: no working python", re.MULTILINE)
NATIVE = re.compile(r"^(WARNING: All log messages before absl::|[IWE]\d{4} ).*\n?", re.MULTILINE)  # TensorFlow at start
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def execute(notebook: Any) -> Any:
    """The notebook as it comes out of a fresh kernel of this interpreter, started in the root. Raises at the first error."""
    fresh = copy.deepcopy(notebook)
    where = {"metadata": {"path": str(ROOT)}}
    client = NotebookClient(fresh, timeout=300, resources=where, record_timing=False, coalesce_streams=True)
    client.km = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
    client.execute()
    for cell in code(fresh):
        cell.outputs = [output for output in map(without_native, cell.outputs) if output.get("text") != ""]
    fresh.metadata = nbformat.from_dict(METADATA)
    return fresh


def without_native(output: Any) -> Any:
    """An output without lines that native code logs to standard error: they hold times and process ids, and warn of nothing."""
    if output.get("name") == "stderr":
        output.text = NATIVE.sub("", output.text).lstrip("\n")
    return output


def code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shown(notebook: Any) -> list[tuple[str, str, list[str]]]:
    """What each code cell shows: its name, its text, and the kinds of its figures; warnings on standard error apart."""
    found = []
    for cell in code(notebook):
        texts = [output.text for output in cell.outputs if output.output_type == "stream" and output.name == "stdout"]
        data = [output.data for output in cell.outputs if "data" in output]
        texts += [bundle["text/markdown"] for bundle in data if "text/markdown" in bundle]
        found.append((cell.id, "".join(texts), [kind for bundle in data for kind in bundle if kind.startswith("image/")]))
    return found


def problems(notebook: Any) -> list[str]:
    """What is wrong with a stored notebook as a document, whatever its numbers."""
    cells = code(notebook)
    found = [f"cell {cell.id} was not run" for cell in cells if cell.execution_count is None]
    if [cell.execution_count for cell in cells] != list(range(1, len(cells) + 1)):
        found.append("the cells were not run once each, in their order")
    for cell in cells:
        found += [f"cell {cell.id} holds an error" for output in cell.outputs if output.output_type == "error"]
        found += [f"cell {cell.id} holds a warning" for output in cell.outputs if output.get("name") == "stderr"]
    found += [f"cell {cell.id} has metadata" for cell in notebook.cells if cell.metadata]
    if notebook.metadata != METADATA:
        found.append("the metadata is not the least there can be")
    if not any(text or figures for _, text, figures in shown(notebook)):
        found.append("nothing is shown")
    if not any(line.lstrip().startswith("assert ") for cell in cells for line in cell.source.splitlines()):
        found.append("nothing is asserted")
    return found


def read(path: Path) -> Any:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def test_there_are_notebooks() -> None:
    assert [path.stem for path in NOTEBOOKS] == [
        "axis",
        "bounds",
        "formula",
        "placement",
        "ten_years",
        "toy_batch",
        "your_layer",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_whole(path: Path) -> None:
    """Outputs are there, without errors, small, and say nothing of the machine they were made on."""
    assert problems(read(path)) == []
    assert path.stat().st_size < LARGEST
    text = path.read_text(encoding="utf-8")
    for private in (f"{ROOT}/", "/home/", "/root/", "/Users/", "/tmp/", "site-packages"):
        assert private not in text, private


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_and_shows_what_it_stores(path: Path) -> None:
    """Every assertion holds on the records as they are, and the stored outputs are theirs."""
    stored = shown(read(path))
    ran = shown(execute(read(path)))
    missing = [SKIPPED.search(text) is not None for _, text, _ in ran]  # an environment that this machine cannot make
    pairs = [pair for pair, skip in zip(zip(ran, stored, strict=True), missing, strict=True) if not skip]
    out_of_date = f"outputs are out of date: python {Path(__file__).relative_to(ROOT)} {path.stem}"
    assert [a for a, _ in pairs] == [b for _, b in pairs], out_of_date


def notebook_of(*sources: str) -> Any:
    cells = [new_code_cell(source, id=f"cell-{position}") for position, source in enumerate(sources)]
    return new_notebook(cells=cells, metadata=METADATA)


@pytest.mark.slow
def test_a_false_assertion_is_noticed() -> None:
    """A notebook runs in this interpreter and in the root; one that claims what is not so does not pass."""
    where = "from pathlib import Path\nimport sys\nprint(sys.prefix)\nassert Path('ci/matrix.toml').is_file()"
    ran = execute(notebook_of(where))
    assert problems(ran) == []
    assert shown(ran)[0][1].strip() == sys.prefix
    with pytest.raises(CellExecutionError, match="two is not three"):
        execute(notebook_of("1 + 1", "assert 2 == 3, 'two is not three'"))


def test_what_is_wrong_with_a_document_is_noticed() -> None:
    """Each problem is seen by itself."""
    good = execute(notebook_of("print(1)\nassert True"))
    assert problems(good) == []
    assert problems(notebook_of("print(1)\nassert True"))[:1] == ["cell cell-0 was not run"]
    assert "nothing is asserted" in problems(execute(notebook_of("print(1)")))
    assert "nothing is shown" in problems(execute(notebook_of("assert True")))
    assert "cell cell-0 holds a warning" in problems(execute(notebook_of("import sys\nprint(1, file=sys.stderr)")))
    timed = copy.deepcopy(good)
    timed.cells[0].metadata["execution"] = {"iopub.execute_input": "now"}
    assert problems(timed) == ["cell cell-0 has metadata"]
    failed = copy.deepcopy(good)
    failed.cells[0].outputs.append(nbformat.v4.new_output("error", ename="E", evalue="", traceback=[]))
    assert problems(failed) == ["cell cell-0 holds an error"]


def test_what_native_code_logs_is_left_out() -> None:
    """Lines of TensorFlow's start are not stored; a warning beside them is."""
    log = "WARNING: All log messages before absl::InitializeLog() is called\\nI0000 00:00:17.5 20368 port.cc:153] oneDNN\\n"
    alone, warned = code(execute(notebook_of(*(f"import sys\nsys.stderr.write('{text}')\n0" for text in (log, log + "mind")))))
    assert [output.output_type for output in alone.outputs] == ["execute_result"]
    assert [output.text for output in warned.outputs if output.output_type == "stream"] == ["mind"]


if __name__ == "__main__":
    for path in [path for path in NOTEBOOKS if path.stem in sys.argv[1:] or not sys.argv[1:]]:
        nbformat.write(execute(read(path)), path)
