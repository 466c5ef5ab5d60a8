"""An application with redis-py that finds its master through Sentinel. Prints `OK NUMBER SERVER` for each write.

redis_py.py MASTER PASSWORD HOST:PORT...
"""
import sys
import time

from redis.exceptions import RedisError
from redis.sentinel import Sentinel

name, password, *sentinels = sys.argv[1:]
hosts = [(host, int(port)) for host, port in (sentinel.rsplit(":", 1) for sentinel in sentinels)]
sentinel = Sentinel(hosts, socket_timeout=1, min_other_sentinels=1)
master = sentinel.master_for(name, password=password or None, socket_timeout=2)
replica = sentinel.slave_for(name, password=password or None, socket_timeout=2)
while True:
    try:
        number = master.incr("client:redis-py")
        assert master.info("replication")["role"] == "master"
        replica.get("client:redis-py")
        print("OK", number, master.client_info()["laddr"], flush=True)
    except RedisError as error:
        print(type(error).__name__, error, file=sys.stderr, flush=True)
    time.sleep(0.05)
