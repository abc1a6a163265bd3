"""How the terminal UI is opened from the command line, and what happens where there is no terminal."""

from __future__ import annotations


def test_without_a_terminal_no_command_prints_the_help(workbench, project):
    result = workbench("-C", project)
    assert result.code == 0
    assert "Usage: workbench" in result.out


def test_a_folder_in_place_of_a_command_needs_a_terminal(workbench, project):
    result = workbench(project)
    assert result.code == 2
    assert "needs a terminal" in result.err
    assert "Traceback" not in result.err


def test_a_word_that_is_no_folder_is_still_no_command(workbench):
    result = workbench("trian")
    assert result.code == 2
    assert "no such command 'trian'. Did you mean 'train'?" in result.err


def test_the_ui_is_not_loaded_by_a_headless_command(process, project):
    result = process("-C", project, "runs", "list")
    assert result.code == 0, result.err
    code = (
        "import sys; from workbench.cli import execute; "
        f"execute(['-C', {str(project)!r}, 'runs', 'list']); "
        "assert not {'textual', 'workbench.tui'} & set(sys.modules)"
    )
    import subprocess
    import sys

    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
