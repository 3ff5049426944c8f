"""HTTP as tests speak it: one client, a connection for each call.

`httpx.get` builds a client for each call, and reads all certificates for it: 27 ms of CPU against 1.5, and a waiting
test asks ten times a second. No connection is kept, as the servers of these tests are killed and come again.
"""

from typing import Final

import httpx

HTTP: Final = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0))
