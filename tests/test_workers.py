"""Workers: fresh processes with one thread each, which end when they should."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from importlib.machinery import ModuleSpec
from types import ModuleType

import psutil
import pytest

from minids.study import workers
from minids.study.edited import edited, own_files
from minids.study.workers import WorkerError, dismiss, run_tasks


def square(seed, wait=0.0):
    time.sleep(wait)
    return seed**2


def environment(seed):
    import torch

    return os.getpid(), torch.get_num_threads()


def children():
    """The workers: every process that this one started, but what multiprocessing leaves behind."""
    return [child for child in psutil.Process().children() if not tracks_resources(child)]


def tracks_resources(process):
    try:
        return any("resource_tracker" in word for word in process.cmdline())
    except psutil.Error:
        return False


def tasks(n, **more):
    return [{"seed": seed, **more} for seed in range(n)]


def test_every_task_is_done_once():
    assert sorted(run_tasks(square, tasks(7), workers=2)) == [(n, n**2) for n in range(7)]


def test_none_is_a_worker_for_each_core_and_0_is_this_process():
    assert sorted(run_tasks(square, tasks(3))) == [(0, 0), (1, 1), (2, 4)]
    assert {pid for _, (pid, _) in run_tasks(environment, tasks(2), workers=0)} == {os.getpid()}
    assert list(run_tasks(square, [], workers=2)) == []


def test_results_come_as_they_finish(tmp_path):
    sign = tmp_path / "sign"

    def patient(seed):
        while seed == 0 and not sign.exists():
            time.sleep(0.01)
        if seed == 2:
            sign.touch()

    assert [number for number, _ in run_tasks(patient, tasks(3), workers=2)] == [1, 2, 0]


def test_a_worker_has_one_thread_and_does_many_tasks():
    found = [result for _, result in run_tasks(environment, tasks(4), workers=1)]
    assert {threads for _, threads in found} == {1}
    assert len({pid for pid, _ in found}) == 1
    assert found[0][0] != os.getpid()


def test_workers_wait_for_the_next_call_and_end_when_dismissed():
    def pids():
        return {pid for _, (pid, _) in run_tasks(environment, tasks(6), workers=2)}

    first = {child.pid for child in children()} | pids()
    assert pids() <= first
    assert pids() <= {child.pid for child in children()}
    dismiss()
    assert children() == []


def test_a_worker_that_was_born_otherwise_is_not_hired(monkeypatch, tmp_path):
    def seen(seed):
        return os.environ.get("COLOUR"), os.getcwd(), sys.path[1:2]

    for colour in ("red", "green"):
        monkeypatch.setenv("COLOUR", colour)
        monkeypatch.chdir(tmp_path)
        assert list(run_tasks(seen, tasks(1), workers=1))[0][1][:2] == (colour, str(tmp_path))
        tmp_path = tmp_path / colour
        tmp_path.mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    ((_, (*_, path)),) = run_tasks(seen, tasks(1), workers=1)
    assert path == [str(tmp_path)]


@pytest.fixture
def module(monkeypatch, tmp_path):
    """A function that writes a module of the user's own, `of_mine`, which returns a number."""

    def write(number):
        (tmp_path / "of_mine.py").write_text(f"def run(seed):\n    return {number}\n")

    write(1)
    monkeypatch.syspath_prepend(tmp_path)
    yield write
    sys.modules.pop("of_mine", None)


def test_a_module_that_was_edited_and_loaded_again_runs_as_it_is_now(module):
    of_mine = importlib.import_module("of_mine")
    assert sorted(run_tasks(of_mine.run, tasks(2), workers=2)) == [(0, 1), (1, 1)]
    old = children()
    module(22)
    importlib.reload(of_mine)
    assert sorted(run_tasks(of_mine.run, tasks(2), workers=2)) == [(0, 22), (1, 22)]
    assert not {*old} & {*children()}


def test_a_module_that_only_the_workers_load_runs_as_it_is_now(module):
    def run(seed):
        import of_mine

        return of_mine.run(seed)

    assert list(run_tasks(run, tasks(1), workers=1)) == [(0, 1)]
    module(22)
    assert list(run_tasks(run, tasks(1), workers=1)) == [(0, 22)]


def test_workers_outlive_modules_that_are_loaded_later_and_edits_that_they_do_not_hold(module):
    def without(seed):
        return os.getpid()

    def within(seed):
        import of_mine

        return of_mine.run(seed), os.getpid()

    ((_, first),) = run_tasks(without, tasks(1), workers=1)
    importlib.reload(importlib.import_module("of_mine"))
    assert list(run_tasks(without, tasks(1), workers=1)) == [(0, first)]
    for _ in range(2):
        assert list(run_tasks(within, tasks(1), workers=1)) == [(0, (1, first))]
    dismiss()
    ((_, second),) = run_tasks(without, tasks(1), workers=1)
    module(22)
    assert list(run_tasks(without, tasks(1), workers=1)) == [(0, second)]


def test_own_files_are_those_of_neither_python_nor_packages(module, tmp_path, monkeypatch):
    files = {*own_files()}
    importlib.import_module("of_mine")
    generated = ModuleType("generated")  # as torch's compiler loads what it wrote
    generated.__file__ = str(tmp_path / "generated.py")
    monkeypatch.setitem(sys.modules, "generated", generated)
    linked = ModuleSpec("linked", None, origin=str(tmp_path / "linked.so"))
    monkeypatch.setitem(sys.modules, "linked", importlib.util.module_from_spec(linked))
    for file in ("generated.py", "linked.so"):
        (tmp_path / file).touch()
    assert {*own_files()} - files == {str(tmp_path / "of_mine.py")}
    assert not {os.__file__, pytest.__file__} & files


@pytest.mark.parametrize("how", ["written", "given an older date", "removed"])
def test_an_edit_is_seen_whatever_date_it_bears(tmp_path, how):
    file = tmp_path / "mine.py"
    file.touch()
    time.sleep(0.05)
    now = time.time()
    assert not edited([str(file)], now)
    time.sleep(0.05)
    if how == "removed":
        file.unlink()
    elif how == "written":
        file.write_text("new")
    else:  # as by whoever copies a file with its date
        os.utime(file, (1e9, 1e9))
    assert edited([str(file)], now)


def test_a_worker_that_waited_for_too_long_is_gone(monkeypatch):
    monkeypatch.setattr(workers, "IDLE", 0.1)
    dismiss()
    list(run_tasks(square, tasks(2), workers=2))
    assert psutil.wait_procs(children(), timeout=5)[1] == []
    assert list(run_tasks(square, tasks(1), workers=1)) == [(0, 0)]


def test_a_worker_that_died_while_it_waited_is_not_hired():
    list(run_tasks(square, tasks(2), workers=1))
    for child in children():
        child.kill()
    psutil.wait_procs(children(), timeout=5)
    assert list(run_tasks(square, tasks(1), workers=1)) == [(0, 0)]


def test_no_worker_is_left_after_an_early_end():
    dismiss()
    with closing(run_tasks(square, tasks(4, wait=60.0) + tasks(1), workers=2)) as finished:
        del finished
    with closing(run_tasks(square, [{"seed": 3}, *tasks(1, wait=60.0)], workers=2)) as finished:
        assert next(finished) == (0, 9)
        assert len(children()) == 2
    assert children() == []


def test_what_a_task_prints_does_not_disturb_its_result():
    def talk(seed):
        print("a lot", flush=True)
        os.write(1, b"and deeper")
        return seed

    assert list(run_tasks(talk, tasks(1), workers=1)) == [(0, 0)]


def test_an_error_in_a_task_arrives_with_its_traceback():
    def fail(seed):
        return 1 / seed

    with pytest.raises(WorkerError, match=r"(?s)in fail.*ZeroDivisionError") as caught:
        list(run_tasks(fail, tasks(1), workers=1))
    assert caught.value.task == 0
    dismiss()
    assert children() == []


def test_a_worker_that_dies_leaves_its_last_words():
    def die(seed):
        print("out of luck", file=sys.stderr, flush=True)
        os._exit(7)

    with pytest.raises(WorkerError, match=r"(?s)exit code 7.*out of luck"):
        list(run_tasks(die, tasks(1), workers=1))


def test_an_interrupt_ends_the_workers_and_reaches_the_caller():
    script = (
        "import signal, time\nfrom minids.study.workers import run_tasks\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # some shells ignore it
        "def run(seed):\n    time.sleep(100)\n"
        "print('ready', flush=True)\n"
        "list(run_tasks(run, [{'seed': 0}, {'seed': 1}], workers=2))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    program = psutil.Process(process.pid)
    deadline = time.monotonic() + 20
    while len(program.children()) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    workers = program.children()
    assert len(workers) == 2
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert said.strip().endswith("KeyboardInterrupt") and said.count("Traceback") == 1
    assert psutil.wait_procs(workers, timeout=5)[1] == []


def test_a_ctrl_c_that_the_caller_handles_does_not_reach_the_workers():
    script = (
        "import signal, time\nfrom minids.study.workers import run_tasks\n"
        "def run(seed):\n    time.sleep(seed)\n    return seed\n"
        "signal.signal(signal.SIGINT, lambda *_: None)\n"
        "for done in run_tasks(run, [{'seed': 0}, {'seed': 1}], workers=1):\n"
        "    print(done, flush=True)\n"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout.readline() == b"(0, 0)\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.readline() == b"(1, 1)\n"


def test_workers_end_when_their_parent_is_killed_even_in_the_midst_of_a_task():
    script = (
        "import time\nfrom minids.study.workers import run_tasks\n"
        "def run(seed):\n    time.sleep(100 * seed)\n"
        "print('ready', flush=True)\n"
        "for done in run_tasks(run, [{'seed': 0}, {'seed': 1}], workers=1):\n"
        "    print(done, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        assert process.stdout.readline() == b"(0, None)\n"
        workers = psutil.Process(process.pid).children()
        process.kill()
    assert len(workers) == 1
    assert psutil.wait_procs(workers, timeout=5)[1] == []


def own_memory(process):
    """Bytes of a process but for what it read from files."""
    memory = process.memory_info()
    return memory.rss - getattr(memory, "shared", 0)


def test_a_worker_that_waits_gives_its_memory_back():
    def large(seed):
        import torch

        return float(torch.ones(200_000_000).sum())  # 800 MB

    dismiss()
    list(run_tasks(large, tasks(1), workers=1))
    (worker,) = children()
    deadline = time.monotonic() + 5
    while own_memory(worker) > 6e8 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert own_memory(worker) < 6e8


def test_a_worker_gives_back_what_it_was_given():
    def length(data):
        return len(data)

    dismiss()
    list(run_tasks(length, [{"data": bytes(600_000_000)}], workers=1))
    assert len(children()) == 1  # small again, and so it is kept


def test_a_worker_that_has_grown_is_not_kept():
    def learns_much(seed):
        import sys

        import torch

        sys.remembered = torch.ones(200_000_000)  # 800 MB

    dismiss()
    list(run_tasks(learns_much, tasks(1), workers=1))
    assert children() == []


def test_a_reply_that_cannot_be_read_is_an_error_and_not_a_silence(tmp_path):
    def elsewhere(seed, folder):
        from pathlib import Path

        Path(folder, "only_there.py").write_text("class Thing:\n    pass\n")
        sys.path.insert(0, folder)
        import only_there

        return only_there.Thing()

    with pytest.raises(WorkerError, match="only_there"):
        list(run_tasks(elsewhere, tasks(1, folder=str(tmp_path)), workers=1))
