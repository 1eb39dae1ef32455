"""Buckets of emulators, which run as processes of their own; see `make test-buckets`."""

import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from importlib.util import find_spec

import pytest

if not (find_spec('gcsfs') and find_spec('s3fs')):
    collect_ignore_glob = ['test_*.py']

PATIENCE = 60  # seconds for an emulator to start


def free_port():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]


@contextmanager
def emulator(program, *arguments):
    """A server that listens on a free port of this machine; its port."""
    port = free_port()
    command = [sys.executable, '-c', program, str(port), *arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(('127.0.0.1', port), 1).close()
                break
            except OSError:
                assert server.poll() is None and time.monotonic() < deadline, 'the emulator does not start'
                time.sleep(0.1)
        try:
            yield port
        finally:
            server.kill()


# This one reads an upload as an email, and so takes a carriage return at the end of an object for the end of a line;
# and writes over what is there where it was told that the object must be new.
GCS = """
import sys
from gcp_storage_emulator import server
from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.handlers import objects

upload = objects._multipart_upload

def upload_if_new(request, response, storage):
    if request.query.get('ifGenerationMatch') == ['0']:
        try:
            storage.get_file_obj(request.params['bucket_name'], request.data['meta']['name'])
            response.status = objects.HTTPStatus.PRECONDITION_FAILED
            return
        except NotFound:
            pass
    upload(request, response, storage)

objects._multipart_upload = upload_if_new

class Parser(server.BytesParser):
    def parsebytes(self, text):
        message = super().parsebytes(text)
        if text.rpartition(b'\\n--' + message.get_boundary().encode())[0].endswith(b'\\r'):
            message.get_payload()[-1]._payload += '\\r'
        return message

server.BytesParser = Parser
server.create_server('127.0.0.1', int(sys.argv[1]), in_memory=True, default_bucket='bucket').run()
"""
S3 = """
import sys, time
from moto.server import ThreadedMotoServer
ThreadedMotoServer(ip_address='127.0.0.1', port=int(sys.argv[1])).start()
time.sleep(10**6)
"""
KEYS = {'AWS_ACCESS_KEY_ID': 'testing', 'AWS_SECRET_ACCESS_KEY': 'testing', 'AWS_DEFAULT_REGION': 'us-east-1'}


@pytest.fixture(scope='session')
def gs():
    """The URL of an empty bucket of Google's kind; processes that are started reach it too."""
    with emulator(GCS) as port, pytest.MonkeyPatch.context() as patch:
        patch.setenv('STORAGE_EMULATOR_HOST', f'http://127.0.0.1:{port}')
        yield 'gs://bucket'


@pytest.fixture(scope='session')
def s3():
    """Likewise of Amazon's kind."""
    with emulator(S3) as port, pytest.MonkeyPatch.context() as patch:
        for name, value in (KEYS | {'AWS_ENDPOINT_URL': f'http://127.0.0.1:{port}'}).items():
            patch.setenv(name, value)
        import s3fs

        s3fs.S3FileSystem().mkdir('bucket')
        yield 's3://bucket'


@pytest.fixture(scope='session', params=['gs', 's3'])
def url(request):
    """Of both kinds."""
    return request.getfixturevalue(request.param)
