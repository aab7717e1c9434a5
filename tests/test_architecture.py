"""The house: which part may import which, and that no framework is imported by the parts that need none."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import bnverify

PACKAGE = Path(bnverify.__file__).parent

# Each room may import itself and the rooms above it. Read from top to bottom it is the flow of data.
ROOMS = (
    "errors",
    "numeric",
    "storage",
    "cases",
    "values",
    "reference",
    "targets",
    "bounds",
    "contract",
    "verdicts",
    "running",
    "matrix",
    "explaining",
    "views",
    "api",
    "testing",
    "conformance",
    "cli",
    "__init__",
    "__main__",
)
MUTANTS_MAY_IMPORT_KERAS = {
    "targets.mutants",
    *(f"targets.mutants.{name}_layers" for name in ("file", "format", "formula", "misuse", "mode", "network", "replica")),
    "targets.mutants.layers",
}


def modules() -> dict[str, Path]:
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def imports(path: Path) -> set[str]:
    """Everything a file imports, inside functions and under TYPE_CHECKING, too."""
    source = path.read_text(encoding="utf-8")
    if "worker" not in path.parts:  # which is no part of bnverify where it runs by path
        assert not any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(ast.parse(source))), path
    return imported(source)


def imported(source: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(module: str) -> int:
    """The rank of the room that a module is in."""
    return ROOMS.index(module.split(".", maxsplit=1)[0])


def edges() -> set[tuple[str, str]]:
    own = modules()
    return {
        (name, target)
        for name, path in own.items()
        for imported in imports(path)
        if imported.startswith("bnverify.") and (target := imported.removeprefix("bnverify.")) in own and target != name
    }


def test_every_import_goes_up_the_house() -> None:
    """A module imports only from its own room and from rooms above it, lazy and type-checking imports counted."""
    assert {(a, b) for a, b in edges() if room(a) < room(b)} == set()


def test_the_imports_have_no_circle() -> None:
    """The graph of all imports between modules can be taken apart from the leaves."""
    rest = edges()
    while rest:
        leaves = {b for _, b in rest} - {a for a, _ in rest}
        assert leaves, f"a circle among {sorted(rest)}"
        rest = {(a, b) for a, b in rest if b not in leaves}


def test_only_the_worker_and_the_mutants_import_keras() -> None:
    """All other files reach Keras through targets."""
    frameworks = {"keras", "tensorflow", "jax", "torch", "tf_keras"}
    touching = {name for name, path in modules().items() if {i.split(".")[0] for i in imports(path)} & frameworks}
    assert touching <= MUTANTS_MAY_IMPORT_KERAS, touching


def test_the_worker_stands_alone() -> None:
    """The worker imports the standard library, NumPy and, by name, the framework; nothing of bnverify."""
    folder = PACKAGE / "targets" / "worker"
    for path in folder.glob("*.py"):
        source = path.read_text(encoding="utf-8")
        for own in ("from worker", "from . ", *(f"from .{other.stem} " for other in folder.glob("*.py"))):
            source = source.replace(own, "from sys ")
        top = {name.split(".")[0] for name in imported(source)}
        assert top - {"numpy"} <= set(sys.stdlib_module_names), path.name


FRAMEWORK_FREE = (
    "import bnverify",
    "import bnverify.cli.main; bnverify.cli.main.cli(['--help'], standalone_mode=False)",
    "import bnverify.cli.main; bnverify.cli.main.cli(['list'], standalone_mode=False)",
    "import bnverify.cli.main; bnverify.cli.main.cli(['show', 'shape:4x3/steps:T'], standalone_mode=False)",
    "import bnverify.cli.main; bnverify.cli.main.cli(['contract', '--suite', 'smoke'], standalone_mode=False)",
    "import bnverify; bnverify.check_layer, bnverify.parametrize_conformance",
    "import bnverify.conformance",
)


def frameworks_after(code: str) -> str:
    probe = "; import sys; sys.stderr.write(','.join(sorted({'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules))))"
    done = subprocess.run([sys.executable, "-c", code + probe], capture_output=True, text=True, check=True)
    return done.stderr


@pytest.mark.parametrize("code", FRAMEWORK_FREE)
def test_no_framework_is_imported(code: str) -> None:
    """Importing bnverify, and every command that runs no layer, leave Keras and its backends alone."""
    assert frameworks_after(code) == ""


@pytest.mark.slow
def test_the_probe_for_frameworks_can_fail() -> None:
    """The test above would notice: importing the mutants does import Keras."""
    assert (
        "keras"
        in frameworks_after("import os; os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'; import bnverify.targets.mutants").split("\n")[
            -1
        ]
    )


LONG_MODULES = {  # of more than 300 lines: each is one list of things that are alike
    "targets.worker.frameworks": "one class for each generation of Keras",
    "targets.worker.models": "one class for each mode that puts the layer into a model",
    "targets.worker.saving": "a pair of functions for each file format",
}
SHARED_NAMES = {"CLAUSES", "explain", "main", "run", "show"}  # the clauses of each module; commands named after what they call


def own_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function without its docstring, and without the functions and classes that it makes."""
    lines = set(range(function.lineno, (function.end_lineno or 0) + 1))
    if ast.get_docstring(function) is not None:
        lines -= set(range(function.body[0].lineno, (function.body[0].end_lineno or 0) + 1))
    for node in ast.walk(function):
        if node is not function and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            lines -= set(range(node.lineno, (node.end_lineno or 0) + 1))
    return len(lines)


def test_modules_and_functions_stay_small() -> None:
    """At most 300 lines in a module, with three exceptions, and 40 in a function; the first line says what a module is for."""
    sizes = {}
    for name, path in modules().items():
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        sizes[name] = len(text.splitlines())
        assert (ast.get_docstring(tree) or "").strip(), f"{name} has no docstring"
        long = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and own_lines(node) > 40]
        assert long == [], name
    assert {name for name, lines in sizes.items() if lines > 300} == set(LONG_MODULES)


def test_a_name_means_one_thing() -> None:
    """No two modules define the same public name, with five exceptions."""
    found: dict[str, set[str]] = {}
    for name, path in modules().items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                names = [node.name]
            elif isinstance(node, (ast.Assign, ast.AnnAssign)):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names = [target.id for target in targets if isinstance(target, ast.Name)]
            else:
                continue
            for own in names:
                if not own.startswith("_"):
                    found.setdefault(own, set()).add(name)
    assert {own for own, homes in found.items() if len(homes) > 1} == SHARED_NAMES


TESTS = Path(__file__).parent
HELD = {  # modules that another module's tests hold: what they have is data, or a thin front, or needs a real framework
    "__init__": "test_docs.py",
    "__main__": "cli/test_main.py",
    "cases.file_formats": "cases/test_askable.py",
    "cli.bisect": "matrix/test_bisecting.py",
    "cli.contract": "cli/test_commands_without_a_layer.py",
    "cli.files": "matrix/test_exchange.py",
    "cli.list": "cli/test_commands_without_a_layer.py",
    "cli.options": "cli/test_main.py",
    "cli.selftest": "cli/test_commands_without_a_layer.py",
    "cli.show": "cli/test_commands_without_a_layer.py",
    "contract": "contract/test_outputs.py",
    "contract.clause": "cli/test_commands_without_a_layer.py",
    "matrix.cache": "cli/test_cache.py",
    "reference.hypotheses": "reference/hypotheses/test_hypothesis.py",
    "storage.hdf5_values": "explaining/test_model_layer.py",
    "storage.model_code": "storage/test_hostile_files.py",
    "targets.existing_layer": "api/test_explaining.py",
    "targets.mutants": "running/test_keras.py",
    "targets.mutants.file_layers": "contract/test_saving.py",
    "targets.mutants.format_layers": "running/test_keras.py",
    "targets.mutants.formula_layers": "running/test_keras.py",
    "targets.mutants.layers": "running/test_keras.py",
    "targets.mutants.misuse_layers": "contract/test_misuse.py",
    "targets.mutants.mode_layers": "contract/test_modes.py",
    "targets.mutants.mutant": "running/test_keras.py",
    "targets.mutants.network_layers": "targets/test_networks.py",
    "targets.mutants.replica_layers": "contract/test_replicas.py",
    "targets.worker.__main__": "targets/test_worker.py",
    "targets.worker.child": "targets/test_threads.py",
    "targets.worker.frameworks": "targets/test_worker.py",
    "targets.worker.functions": "targets/test_function_targets.py",
    "targets.worker.models": "contract/test_modes.py",
    "targets.worker.networks": "targets/test_networks.py",
    "targets.worker.replicas": "contract/test_replicas.py",
    "targets.worker.saving": "contract/test_saving.py",
    "targets.worker.training": "contract/test_modes.py",
    "testing.plugin": "test_conformance.py",
    "views.cache_text": "cli/test_cache.py",
    "views.chart_page": "matrix/test_chart.py",
    "views.diff_text": "cli/test_diff.py",
    "views.explanation_html": "api/test_explaining.py",
}


def own_tests() -> dict[str, Path]:
    """The test file that each module has for itself, whether the file exists or not."""
    found = {}
    for name, path in modules().items():
        code = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if not isinstance(node, ast.ImportFrom)]
        if path.name != "__init__.py" or len(code) > 1:  # a package with a docstring alone has nothing to test
            *rooms, last = name.split(".")
            found[name] = TESTS.joinpath(*rooms, f"test_{last}.py")
    return found


def test_every_module_has_a_test_file() -> None:
    """tests/ROOM/test_MODULE.py, or a place in the list of modules that another file holds."""
    assert sorted(name for name, path in own_tests().items() if not path.exists()) == sorted(HELD)


def test_no_entry_of_that_list_is_stale() -> None:
    """Each names a module of bnverify that has no test file of its own, and a file with tests."""
    own = own_tests()
    for name, holder in HELD.items():
        assert name in own, name
        assert not own[name].exists(), name
        assert "def test_" in (TESTS / holder).read_text(encoding="utf-8"), name
