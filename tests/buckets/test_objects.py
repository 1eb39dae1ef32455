"""What is asked of a bucket, of one that tells as Google's does and of one that tells as Amazon's does."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from contenders import come_at_once

from dnr_jax.files import (
    as_path,
    bucket_lock,
    buckets,
    expect_writable,
    folder_written_whole,
    held,
    listed,
    local_copy,
    marks,
    removed,
    signature,
    written_whole,
)


def test_files_and_folders(url, tmp_path):
    folder = as_path(f'{url}/files')
    expect_writable(folder)
    with written_whole(folder / 'a' / 'b.json') as file:
        file.write_text('hello')
    assert (folder / 'a' / 'b.json').read_text() == 'hello' and signature(folder / 'a' / 'b.json')[0] == 5
    assert buckets.read(folder / 'a' / 'b.json', 1, 3) == b'el'
    assert folder.is_dir() and (folder / 'a').is_dir() and (folder / 'a' / 'b.json').is_file()
    assert [path.name for path in folder.glob('*/b*')] == ['b.json']
    for names in (('seal', 'x'), ('seal', 'y')):
        with folder_written_whole(folder / 'test', last='seal') as new:
            for name in names:
                (new / name).write_text(name)
    assert listed(folder) == {'a/b.json': 5, 'test/seal': 4, 'test/y': 1}
    buckets.copy(folder / 'test' / 'y', folder / 'z')
    removed(folder / 'test' / 'y'), removed(folder / 'test' / 'y')
    assert sorted(listed(folder)) == ['a/b.json', 'test/seal', 'z']
    assert sorted(path.name for path in folder.iterdir()) == ['a', 'test', 'z']
    assert listed(folder / 'none') == {} and not (folder / 'none').exists()


@pytest.mark.parametrize('end', [b'\r', b'\n', b'\r\n', b'\0', b'--'])
def test_every_byte_comes_back(url, tmp_path, end):
    """Whatever ends an object: emulators have lost bytes there."""
    path, data = as_path(f'{url}/bytes'), bytes(range(256)) + end
    (tmp_path / 'data').write_bytes(data)
    buckets.upload(tmp_path / 'data', path)
    assert buckets.read(path) == data
    buckets.put(path, data[128:])
    assert buckets.read(path) == data[128:]
    removed(path)


def test_a_large_object_goes_in_parts(url, tmp_path):
    data = bytes(range(256)) * 2**18  # 64 MiB
    (tmp_path / 'large').write_bytes(data)
    path = as_path(f'{url}/large')
    buckets.upload(tmp_path / 'large', path)
    with local_copy(path) as file:
        assert file.read_bytes() == data
    removed(path)


def test_what_is_not_there_is_named(url):
    with pytest.raises(FileNotFoundError, match=f"'{url}/none'"):
        as_path(f'{url}/none').read_text()
    nowhere = f'{url.partition("://")[0]}://nobucket/a'
    with pytest.raises(ValueError, match=f'Expected a folder that can be written to, got {nowhere}: .*nobucket'):
        expect_writable(as_path(nowhere))


def test_what_is_to_be_new_is_written_over_nothing(url):
    path = as_path(f'{url}/new')
    buckets.put(path, b'first', new=True)
    with pytest.raises(FileExistsError):
        buckets.put(path, b'second', new=True)
    assert buckets.read(path) == b'first'
    removed(path)


def test_one_of_many_gets_the_lock(url, monkeypatch):
    monkeypatch.setattr(bucket_lock, 'BEAT', 0.2)
    monkeypatch.setattr(bucket_lock, 'SILENCE', 2.0)
    monkeypatch.setattr(marks, 'SETTLED', 0.5)
    path = as_path(f'{url}/.lock')
    found = come_at_once(lambda: held(path, 'it', tell=lambda _: None), 2, 3)
    assert found == ['busy', 'held'] and listed(path) == {}


def test_a_server_that_is_away_is_told_with_the_object(url, monkeypatch):
    monkeypatch.setattr(buckets, 'PAUSES', (0.05, 0.05))
    scheme = url.partition('://')[0]
    away = buckets.CLASSES[scheme]()
    settings = {'endpoint_url': 'http://127.0.0.1:1'}
    file_system = away(**settings, skip_instance_cache=True)
    with pytest.raises(buckets.BucketError, match=f'^{url}/a: .*, tried 3 times$'):
        file_system.cat_file(f'{url}/a')


FULL = {  # what servers answer
    'gs': '{"error": {"code": 507, "message": "Insufficient storage"}}',
    's3': '<Error><Code>XMinioStorageFull</Code><Message>The minimum of free room is reached.</Message></Error>',
}


def test_a_bucket_that_is_full_is_told_at_once(url):
    scheme, asked = url.partition('://')[0], []

    class Full(BaseHTTPRequestHandler):
        def do_PUT(self):
            asked.append(self.path)
            self.send_response(507)
            self.send_header('Content-Length', str(len(FULL[scheme])))
            self.end_headers()
            self.wfile.write(FULL[scheme].encode())

        do_POST = do_PUT

        def log_message(self, *_):
            pass

    with HTTPServer(('127.0.0.1', 0), Full) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f'http://127.0.0.1:{server.server_port}'
        file_system = buckets.CLASSES[scheme]()(endpoint_url=endpoint, skip_instance_cache=True)
        with pytest.raises(buckets.BucketError, match=f'^{url}/a: no room left for it '):
            file_system.pipe_file(f'{url}/a', b'hello')
        server.shutdown()
    assert len(asked) == 1


def test_missing_credentials_are_told_at_once(s3, monkeypatch):
    for name in ('AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'):
        monkeypatch.delenv(name)
    monkeypatch.setenv('AWS_EC2_METADATA_DISABLED', 'true')
    file_system = buckets.CLASSES['s3']()(skip_instance_cache=True)
    with pytest.raises(buckets.BucketError, match=f'^{s3}/a: no right to it .*NoCredentialsError.*; sign in with aws'):
        file_system.pipe_file(f'{s3}/a', b'a')
