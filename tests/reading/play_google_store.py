"""``python play_google_store.py`` plays Google's store with one bucket, named log, and prints the port it listens on.

A process of its own: pyarrow opens a Parquet object with Python's lock held, so that a thread could never answer it.
"""

import logging
from functools import partial
from http.server import ThreadingHTTPServer

from gcp_storage_emulator.handlers.buckets import create_bucket
from gcp_storage_emulator.server import RequestHandler
from gcp_storage_emulator.storage import Storage

if __name__ == "__main__":
    logging.disable()
    storage = Storage(use_memory_fs=True)
    create_bucket("log", storage)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(RequestHandler, storage)) as server:
        print(server.server_port, flush=True)
        server.serve_forever()
