-- The feed joins posts with users, so keep an index on the column that joins them.
CREATE INDEX posts_user_id_idx ON posts (user_id);
