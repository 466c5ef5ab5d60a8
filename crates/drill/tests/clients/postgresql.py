"""Connects with the string in the first argument, as psycopg and as SQLAlchemy do, and says who answers."""

import sys

QUESTION = "select host(inet_server_addr()) || ' ' || pg_is_in_recovery()::text"
dsn = sys.argv[1]
if dsn.startswith("postgresql+psycopg://"):
    import sqlalchemy

    with sqlalchemy.create_engine(dsn).connect() as connection:
        print(connection.execute(sqlalchemy.text(QUESTION)).scalar_one())
else:
    import psycopg

    with psycopg.connect(dsn) as connection:
        print(connection.execute(QUESTION).fetchone()[0])
