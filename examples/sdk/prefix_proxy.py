"""A reverse proxy for tests: it serves a Rollbook server under a path, as `ROLLBOOK_PUBLIC_URL` may say.

    prefix_proxy.py <port> <path> <server's port>
"""

import http.client
import http.server
import sys

PORT, PREFIX, SERVER = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
# These belong to one connection.
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade"}


class Handler(http.server.BaseHTTPRequestHandler):
    def forward(self):
        if not self.path.startswith(PREFIX + "/"):
            self.send_error(404, f"not below {PREFIX}")
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        server = http.client.HTTPConnection("127.0.0.1", SERVER)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        server.request(self.command, self.path[len(PREFIX) :], body or None, headers)
        answer = server.getresponse()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        # The answer ends with the connection.
        self.send_header("Connection", "close")
        self.end_headers()
        while part := answer.read1(65536):
            self.wfile.write(part)
        server.close()
        self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = forward

    def log_message(self, *arguments):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
