"""Evaluates the line in the first argument, which makes a client, and says who answers."""

import sys
from redis import Redis  # noqa: F401, for the line
from redis.sentinel import Sentinel  # noqa: F401

client = eval(sys.argv[1])
role = client.role()[0]
print(client.client_info()["laddr"], role.decode() if isinstance(role, bytes) else role)
