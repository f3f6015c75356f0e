"""Rotation of the logs of tasks."""

from agent.client.task_logs import TaskLog, rotate_all


def test_a_log_that_has_grown_too_large_is_set_aside(tmp_path):
    """
    The content moves up file by file, the oldest goes, and who writes goes on at the beginning of the same file.
    """
    path = tmp_path / "main.stdout.0"
    log = TaskLog(path, file_bytes_max=3, files_max=3)
    with path.open("ab", buffering=0) as writer:
        for text in (b"one.", b"two.", b"three.", b"four"):
            writer.write(text)
            rotate_all([log])
        writer.write(b"5")

    contents = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert {"main.stdout.0": b"5", "main.stdout.1": b"four", "main.stdout.2": b"three."} == contents


def test_a_log_within_its_size_is_left_alone(tmp_path):
    """
    A file of exactly its size stays, and one that is missing is no error.
    """
    path = tmp_path / "main.stderr.0"
    path.write_bytes(b"abc")

    rotate_all([TaskLog(path, 3, 10), TaskLog(tmp_path / "gone.stdout.0", 3, 10)])

    assert [path] == list(tmp_path.iterdir())


def test_a_single_file_is_only_emptied(tmp_path):
    """
    A job that allows one file gets one.
    """
    path = tmp_path / "main.stdout.0"
    path.write_bytes(b"abcd")

    rotate_all([TaskLog(path, 3, 1)])

    assert [(path, b"")] == [(file, file.read_bytes()) for file in tmp_path.iterdir()]
