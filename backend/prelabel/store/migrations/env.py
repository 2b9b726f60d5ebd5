"""What Alembic runs: the revisions, within the transaction of the connection that it is given."""

from alembic import context

from prelabel.store.schema import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
context.run_migrations()
