"""What Alembic runs around the migrations: the connection and its open transaction are the caller's."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
