-- Nobody scrolls back that far, and a small table is a fast table.
DELETE FROM posts WHERE created_at < timestamptz '2025-06-01 00:00:00+00';
