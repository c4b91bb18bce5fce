"""What the scripts that measure a server share: its start, its memory, and tokens of its people."""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import resource
import socket
import subprocess
import time
import urllib.request

SECRET = 'a secret of this measurement alone, of more than 32 bytes'


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b'=').decode()


def token(organisation, user, role):
    claims = {'org': organisation, 'sub': user, 'role': role, 'exp': int(time.time()) + 86400}
    text = '.'.join(encode(json.dumps(part).encode()) for part in ({'alg': 'HS256', 'typ': 'JWT'}, claims))
    return text + '.' + encode(hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest())


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def memory(pid):
    """The resident memory in bytes."""
    with open(f'/proc/{pid}/statm') as file:
        return int(file.read().split()[1]) * resource.getpagesize()


@contextlib.contextmanager
def serving(binary, database, *flags):
    """Serves a database on a port of this machine: the process and the port."""
    port = free_port()
    environment = {**os.environ, 'ROLLBOOK_JWT_SECRET': SECRET}
    environment.pop('ROLLBOOK_TEST_POSTGRES', None)
    server = subprocess.Popen([binary, 'serve', '--listen', f'127.0.0.1:{port}', '--database', database, *flags],
                              env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f'http://127.0.0.1:{port}/health/ready').read()
                break
            except OSError:
                assert server.poll() is None, 'the server has ended'
                time.sleep(0.1)
        else:
            raise TimeoutError('the server is not ready after 20 s')
        yield server, port
    finally:
        server.terminate()
        server.wait()
