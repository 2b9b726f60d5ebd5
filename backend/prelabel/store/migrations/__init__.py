"""How the database came to its schema: Alembic's revisions, run by prelabel.store.schema."""
