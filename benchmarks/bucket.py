"""How fast clips are read of a bucket whose answers take a while, against the local disk, in turns.

    python -m benchmarks.bucket --latency=0.03 --record=bucket

It takes gcsfs and gcp-storage-emulator, as `make test-buckets` does. The bucket is an emulator on this machine, behind
a server that holds every request for that long and counts the bytes that come back. Clips are read with the settings of
Kinetics-400. `waited` is the share of the time that a model waits which takes 1.25 times as long for a batch as the
loader takes on the disk. The emulator works on the same cores.
"""

import argparse
import asyncio
import contextlib
import io
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import records
from benchmarks.loading import BATCH, FORMS, draw_video, loader_settings
from dnr_jax.data import prepare
from dnr_jax.data.pipeline import train_batches
from dnr_jax.data.source import open_split
from dnr_jax.data.video.encoding import reencode

EMULATOR = """
import sys
from gcp_storage_emulator.server import create_server
create_server('127.0.0.1', int(sys.argv[1]), in_memory=True, default_bucket='bucket').run()
"""
SLOWER = 1.25  # a model than the loader on the disk


class Slow:
    """A server that hands requests on to another port, each `seconds` later, and counts what comes back."""

    def __init__(self, port: int, seconds: float):
        self._to, self._seconds, self.bytes = port, seconds, 0
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        threading.Thread(target=self._serve, args=(ready,), daemon=True).start()
        ready.wait()

    def _serve(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._connect, '127.0.0.1', 0))
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        self._loop.run_forever()

    async def _connect(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        server, requests = await asyncio.open_connection('127.0.0.1', self._to)
        await asyncio.gather(self._pass_on(client, requests, True), self._pass_on(server, answers, False))

    async def _pass_on(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, asks: bool) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(2**18):
                if asks:
                    await asyncio.sleep(self._seconds)
                else:
                    self.bytes += len(data)
                target.write(data)
                await target.drain()
        target.close()


@contextlib.contextmanager
def emulated(latency: float) -> Iterator[Slow]:
    """A bucket gs://bucket of this process and those it starts."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    silent = {'stdout': subprocess.DEVNULL, 'stderr': subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, '-c', EMULATOR, str(port)], **silent) as emulator:
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(('127.0.0.1', port), 1).close()
                break
            time.sleep(0.1)
        slow = Slow(port, latency)
        os.environ['STORAGE_EMULATOR_HOST'] = f'http://127.0.0.1:{slow.port}'
        try:
            yield slow
        finally:
            emulator.kill()


def prepare_both(folder: Path, form: str, videos: int) -> None:
    """Draws videos and prepares them, on the disk and in the bucket."""
    for number in range(videos):
        path = folder / 'source' / 'ab'[number % 2] / f'{number:04d}.mp4'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(reencode(draw_video(number), short_side=0, keyframe_interval=250, quality=23))
    for out in (folder, 'gs://bucket/data'):
        options = [f'--source={folder / "source"}', f'--out={out}', '--workers=0', *FORMS[form]]
        with contextlib.redirect_stdout(io.StringIO()):
            assert prepare.main(['videos', '--variant=drawn', *options]) == 0


def read(dir: str, form: str, cache: int, workers: int, batches: int, pace: float) -> tuple[float, float]:
    """(seconds a batch, share of them waited for it) where a model takes `pace` seconds for each."""
    source = open_split(f'videos/drawn-{form}', dir, 'train', cache)
    loader = train_batches(source, **loader_settings('dense'), batch_size=BATCH, start_step=0, workers=workers)
    waited = 0.0
    with contextlib.closing(loader):
        for _ in range(2 + 2 * workers):  # which are read before they are asked for
            next(loader)
        begun = time.perf_counter()
        for _ in range(batches):
            asked = time.perf_counter()
            next(loader)
            waited += time.perf_counter() - asked
            time.sleep(pace)
        seconds = time.perf_counter() - begun
    return seconds / batches, waited / seconds


def measure(folder: Path, slow: Slow, options: argparse.Namespace) -> list[dict]:
    """A row for the disk and for each way to read of the bucket: medians over rounds."""
    os.environ['XDG_CACHE_HOME'] = str(folder / 'cache')
    ways = {
        'local disk': (str(folder), 0),
        'ranges': ('gs://bucket/data', 0),
        'cache': ('gs://bucket/data', 2**30),  # filled by the first round
    }
    found = {way: [] for way in ways}
    for _ in range(options.rounds + 1):  # the first one is to fill
        for way, (dir, cache) in ways.items():
            before = slow.bytes
            each, _ = read(dir, options.form, cache, options.workers, options.batches, 0.0)
            fetched = (slow.bytes - before) / (options.batches + 2 + 2 * options.workers) / BATCH
            pace = SLOWER * (each if way == 'local disk' else found['local disk'][-1]['seconds'])
            _, waited = read(dir, options.form, cache, options.workers, options.batches, pace)
            found[way].append({'seconds': each, 'waited': waited, 'bytes': fetched})
    rows = [{'way': 'cache, when it is filled', **found['cache'][0]}]
    for way, rounds in found.items():
        rows.append({'way': way} | {key: statistics.median(of[key] for of in rounds[1:]) for key in rounds[0]})
    return [
        {'way': row['way'], 'clips_per_second': BATCH / row['seconds'], 'waited': row['waited'], 'bytes': row['bytes']}
        for row in sorted(rows, key=lambda row: [*ways, 'cache, when it is filled'].index(row['way']))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog='python -m benchmarks.bucket', description=__doc__.partition('\n')[0])
    parser.add_argument('--latency', type=float, default=0.03, help='seconds of every request; default: %(default)s')
    parser.add_argument('--form', default='original', choices=FORMS, help='default: %(default)s')
    parser.add_argument('--videos', type=int, default=16, help='default: %(default)s')
    parser.add_argument('--workers', type=int, default=2, help='default: %(default)s')
    parser.add_argument('--batches', type=int, default=12, help='of each way and round; default: %(default)s')
    parser.add_argument('--rounds', type=int, default=3, help='default: %(default)s')
    parser.add_argument('--note', default='', help='what is to be known of the machine')
    parser.add_argument('--record', help='name of the file in benchmarks/records/')
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, emulated(options.latency) as slow:
        prepare_both(Path(folder), options.form, options.videos)
        rows = measure(Path(folder), slow, options)
    for row in rows:
        print(f'{row["way"]:26} {row["clips_per_second"]:6.1f} clips/s  waited {row["waited"]:6.1%}  '
              f'{row["bytes"] / 1000:8,.0f} kB a clip')  # fmt: skip
    if options.record:
        settings = {key: getattr(options, key) for key in ('latency', 'form', 'videos', 'workers', 'note')}
        records.add(records.FOLDER / f'{options.record}.jsonl', settings | {'rows': rows})


if __name__ == '__main__':
    main()
