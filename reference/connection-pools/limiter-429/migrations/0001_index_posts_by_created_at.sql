-- The feed asks for the newest posts, so keep an index in that order.
CREATE INDEX posts_created_at_idx ON posts (created_at DESC);
