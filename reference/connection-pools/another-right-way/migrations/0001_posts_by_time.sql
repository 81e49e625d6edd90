-- In ascending order: Postgres reads an index from either end.
CREATE INDEX CONCURRENTLY IF NOT EXISTS posts_by_time ON posts (created_at, id);
