-- 1,000 users and 30,000 posts of the 90 days before 30 June 2025. The same rows on every run:
-- what looks random is cut out of the md5 of the row's number.

INSERT INTO users (username, created_at)
SELECT
    (ARRAY['ada', 'bram', 'chidi', 'daria', 'emeka', 'fatou', 'goran', 'hana', 'ines', 'jonas',
           'kiri', 'lena', 'mateo', 'nadia', 'oskar', 'priya', 'quinn', 'rosa', 'sefa', 'tomas',
           'uma', 'viktor', 'wanda', 'ximena', 'yusuf'])[1 + n % 25]
        || (ARRAY['_bakes', '_codes', '_cycles', '_draws', '_hikes', '_paints', '_reads', '_sings'])[1 + n / 25 % 8]
        || '_' || 1 + n / 200,
    timestamptz '2025-03-31 12:00:00+00' - (1000 - n) * interval '3 hours'
FROM generate_series(0, 999) AS n
ORDER BY n;

-- 7919 is prime, so n * 7919 % 30000 takes every value from 0 to 29999 once, in an order that has
-- nothing to do with n: a higher id is not a newer post. No two posts are less than a minute apart.
INSERT INTO posts (user_id, content, created_at)
SELECT
    1 + (get_byte(digest, 0) * 65536 + get_byte(digest, 1) * 256 + get_byte(digest, 2)) % 1000,
    (ARRAY['Finally got round to it:',
           'Note to self:',
           'Small victory today,',
           'Two hours later than planned,',
           'Could not sleep, so',
           'Before the first coffee',
           'After months of putting it off,',
           'As promised last week,',
           'With a little help from my sister',
           'On the train home',
           'Somewhere between two meetings',
           'Rainy afternoon, perfect excuse:',
           'Against all advice',
           'For the third time this month',
           'Nobody asked, but here we are:',
           'Right after breakfast'])[1 + get_byte(digest, 3) % 16]
        || ' ' ||
    (ARRAY['I repaired the old bicycle in the cellar',
           'we tried the new noodle place by the station',
           'I finished the second chapter of the novel',
           'the tomatoes on the balcony turned red',
           'I moved all my photos to one single folder',
           'we walked the long way around the lake',
           'I learned to bake bread without a recipe',
           'the neighbours lent me their ladder',
           'I rewrote the import script in an evening',
           'we planted beans along the garden fence',
           'I found the letter from my grandmother',
           'the choir sang without looking at the notes',
           'I swam a kilometre without a break',
           'we painted the kitchen in a warm yellow',
           'I sorted the box of cables by length',
           'the cat brought home a single glove'])[1 + get_byte(digest, 4) % 16]
        ||
    (ARRAY['.',
           ', and it was worth the wait.',
           '. Who wants to join next time?',
           ', which surprised everybody.',
           '. Pictures tomorrow.',
           ' and I am still smiling.',
           '. I would do a lot differently now.',
           ', much easier than I had feared.',
           '. Any tips for a beginner?',
           ', then it started to rain.',
           '. My back says never again.',
           ' while the radio played old songs.',
           ', though only just.',
           '. Thanks to all who helped!',
           ', and now I need a nap.',
           '. Part two follows on Sunday.'])[1 + get_byte(digest, 5) % 16]
        || (ARRAY['', '', '', ' #smalljoys', ' #weekend', ' #learning'])[1 + get_byte(digest, 6) % 6],
    timestamptz '2025-06-30 12:00:00+00'
        - (n * 7919 % 30000) * interval '259.2 seconds'
        - (get_byte(digest, 7) * 256 + get_byte(digest, 8)) * interval '3 milliseconds'
FROM generate_series(0, 29999) AS n
CROSS JOIN LATERAL (SELECT decode(md5(n::text), 'hex')) AS hashed (digest)
ORDER BY n;

-- Postgres plans with statistics. This collects them right away instead of some time later.
ANALYZE users, posts;
