"""A source of a stream opens nothing but itself, unless it is said what it may open."""

import errno
import http.server
import threading
from functools import partial

import pytest
from bucket import FAULTS, OBJECTS

from dnr_jax.data.video import live
from dnr_jax.data.video.errors import Reason, VideoError
from dnr_jax.files import MachineError
from dnr_jax.files.buckets import BucketError

PLAYLISTS = {
    'list.ffconcat': "ffconcat version 1.0\nfile 'a.mp4'\n",
    'list.mp4': "ffconcat version 1.0\nfile 'a.mp4'\n",
    'list.m3u8': '#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\na.mp4\n#EXT-X-ENDLIST\n',
}


@pytest.mark.parametrize('name', [*PLAYLISTS, 'concat:{}/a.mp4', 'subfile,,start,0,end,0,,:{}/a.mp4', 'file:{}/a.mp4'])
def test_what_a_playlist_refers_to_is_opened_only_if_that_is_said(video, tmp_path, name):
    (tmp_path / 'a.mp4').write_bytes(video.read_bytes())
    source = name.format(tmp_path)
    if name in PLAYLISTS:
        source = str(tmp_path / name)
        (tmp_path / name).write_text(PLAYLISTS[name])
    with pytest.raises(VideoError, match='--protocols='):
        list(live.frames(source, format=''))
    followed = live.frames(source, format='', protocols=('file', 'concat', 'subfile'))
    assert len(list(followed)) == len(list(live.frames(str(video), format='')))


@pytest.fixture
def address(video):
    """Of a server of files beside a video."""
    folder = video.parent
    for name, text in PLAYLISTS.items():
        (folder / name).write_text(text.replace('a.mp4', video.name))
    with http.server.ThreadingHTTPServer(
        ('127.0.0.1', 0), partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    ) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f'http://127.0.0.1:{server.server_port}'
        server.shutdown()
        serving.join()


def test_addresses(address, video):
    assert len(list(live.frames(f'{address}/{video.name}', format=''))) == 24
    with pytest.raises(VideoError, match='--protocols='):
        list(live.frames(f'{address}/list.m3u8', format=''))
    assert len(list(live.frames(f'{address}/list.m3u8', format='', protocols=('http',)))) == 24


def test_a_file_in_a_bucket(bucket, video):
    OBJECTS['bucket/a.mp4'] = video.read_bytes()
    assert len(list(live.frames(f'{bucket}/a.mp4', format=''))) == 24
    with pytest.raises(VideoError, match='No such file') as refused:
        list(live.frames(f'{bucket}/none.mp4', format=''))
    assert refused.value.reason is Reason.MISSING
    FAULTS[:] = [ConnectionError('away')] * 9
    with pytest.raises(BucketError, match='^gs://bucket/a.mp4: .*away, tried 3 times'):
        list(live.frames(f'{bucket}/a.mp4', format=''))


def test_what_a_list_on_this_machine_may_fetch(address, video, tmp_path):
    (tmp_path / 'a.m3u8').write_text(PLAYLISTS['list.m3u8'].replace('a.mp4', f'{address}/{video.name}'))
    with pytest.raises(VideoError):
        list(live.frames(str(tmp_path / 'a.m3u8'), format='', protocols=('file',)))
    assert len(list(live.frames(str(tmp_path / 'a.m3u8'), format='', protocols=('http', 'tcp')))) == 24


def test_too_many_open_files_are_no_fault_of_a_source(video, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EMFILE, 'Too many open files')

    monkeypatch.setattr(live, 'open', refuse, raising=False)
    with pytest.raises(MachineError, match='ulimit -n'):
        list(live.frames(str(video), format=''))
