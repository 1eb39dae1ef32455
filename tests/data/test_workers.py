import ctypes
import errno
import os
import re
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from dnr_jax.data.workers import GivenUp, guarded_map

ROOT = Path(__file__).parents[2]


def double(number):
    return 2 * number


def misbehave(number):
    """Hangs at 3 and dies at 7."""
    if number == 3:
        time.sleep(60)
    if number == 7:
        os._exit(5)
    return number


@pytest.mark.parametrize('workers', [0, 2])
def test_results_come_in_order(workers):
    assert list(guarded_map(double, range(50), workers=workers, seconds=60)) == [2 * number for number in range(50)]


@pytest.mark.parametrize('workers', [0, 1])
def test_what_the_function_raises_is_raised(workers):
    with pytest.raises(TypeError):
        list(guarded_map(double, [1, None], workers=workers, seconds=60))


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), 'gnu_get_libc_version'), reason='mallopt is one of glibc')
def test_memory_that_is_freed_is_used_again():
    program = textwrap.dedent("""
        import resource, sys
        import numpy as np
        from dnr_jax.data import workers

        if sys.argv[1] == 'kept':
            workers._keep_memory()
        faults = []
        for _ in range(20):
            clips = [np.ones(2**23, np.uint8) for _ in range(4)]
            del clips
            faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
        print(faults[-1] - faults[1])
    """)

    def faults(how):
        return int(subprocess.check_output([sys.executable, '-c', program, how], cwd=ROOT, text=True))

    assert faults('kept') < 100 < 10_000 < faults('given back')


def test_what_hangs_or_dies_is_given_up_and_the_others_go_on():
    results = list(guarded_map(misbehave, range(12), workers=2, seconds=1))
    given_up = {place: str(result) for place, result in enumerate(results) if isinstance(result, GivenUp)}
    assert given_up == {3: 'it took longer than 1 s', 7: 'its process died (status 5)'}
    assert [result for result in results if not isinstance(result, GivenUp)] == [0, 1, 2, 4, 5, 6, 8, 9, 10, 11]


def time_out_of_a_disk(number):
    raise OSError(errno.ETIMEDOUT, 'Connection timed out')


def test_a_disk_that_times_out_is_no_task_that_took_too_long():
    with pytest.raises(TimeoutError, match='Connection timed out'):
        list(guarded_map(time_out_of_a_disk, [1], workers=1, seconds=60))


def test_workers_end_with_a_killed_parent(tmp_path):
    (tmp_path / 'task.py').write_text(
        'import os, pathlib, time\ndef stay(name):\n'
        '    pathlib.Path(name).write_text(str(os.getpid()))\n    time.sleep(60)\n'
    )
    (tmp_path / 'parent.py').write_text(
        'from dnr_jax.data.workers import guarded_map\n'
        'from task import stay\n'
        "if __name__ == '__main__':\n"
        f'    list(guarded_map(stay, [{str(tmp_path / "pid")!r}], workers=1, seconds=60))\n'
    )
    environment = os.environ | {'PYTHONPATH': os.pathsep.join([os.getcwd(), str(tmp_path)])}
    parent = subprocess.Popen([sys.executable, str(tmp_path / 'parent.py')], env=environment)
    wait_until(lambda: (tmp_path / 'pid').exists() and (tmp_path / 'pid').read_text())
    parent.kill()
    parent.wait()
    wait_until(lambda: not is_alive(int((tmp_path / 'pid').read_text())))


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, 'waited too long'
        time.sleep(0.05)


def is_alive(pid):
    try:
        with open(f'/proc/{pid}/stat') as stat:
            return stat.read().rsplit(')', 1)[1].split()[0] != 'Z'
    except FileNotFoundError:
        return False


START = 'from dnr_jax.data.workers import expect_importable_main as expect\n'


@pytest.mark.parametrize(
    ('program', 'words'),
    [
        (f'{START}expect()', 'expected line 2 of .*script.py below if __name__'),
        (f'{START}def main():\n    expect()\nmain()', 'expected line 4 of '),
        (f"{START}if __name__ == '__main__':\n    expect()", None),
        (f"{START}def main():\n    expect()\nif '__main__' == __name__:\n    main()", None),
    ],
)
def test_a_script_that_all_processes_would_run(tmp_path, program, words):
    script = tmp_path / 'script.py'
    script.write_text(program)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=at_root())
    assert re.search(words, done.stderr) if words else done.returncode == 0, done.stderr


def test_a_program_that_is_no_file():
    done = subprocess.run(
        [sys.executable, '-'], input=f'{START}expect()', capture_output=True, text=True, env=at_root()
    )
    assert 'expected a file, got <stdin>' in done.stderr
    assert subprocess.run([sys.executable, '-c', f'{START}expect()'], env=at_root()).returncode == 0


def at_root():
    return os.environ | {'PYTHONPATH': str(Path(__file__).parent.parent.parent)}
