"""Commands in processes of their own that have the slow imports behind them, for what ends before anything is computed.

Variables of the environment that JAX reads while it is imported have been read by then.
"""

import os
import runpy
import sys
import tempfile
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess

from pages import parsing

ROOT = Path(__file__).parent.parent


def run(*arguments, env, within=nullcontext) -> CompletedProcess:
    """As `subprocess.run` does Python with these arguments, in the repository's root, and within a context."""
    arguments = [str(argument) for argument in arguments]
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ('stdout', 'stderr')]
        process = parsing.processes().Process(target=begin, args=(arguments, env, files, within))
        process.start()
        process.join(300)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(arguments)
        return CompletedProcess(arguments, process.exitcode, *(file.read_text() for file in files))


def begin(arguments, env, files, within):
    """Is that command from here on."""
    os.environ.update(env)
    os.chdir(ROOT)
    for stream, file in zip((sys.stdout, sys.stderr), files, strict=True):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), stream.fileno())
    is_module = arguments[0] == '-m'
    sys.argv = arguments[is_module:]
    run = partial(runpy.run_module, alter_sys=True) if is_module else runpy.run_path
    with within():
        run(sys.argv[0], run_name='__main__')
