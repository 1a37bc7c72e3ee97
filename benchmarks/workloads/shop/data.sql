SET timezone = 'UTC';
SELECT setseed(0.42);
INSERT INTO category SELECT i, CASE WHEN i > 12 THEN 1 + i % 12 END, 'category ' || i
FROM generate_series(1, 180) AS i;
INSERT INTO product SELECT i, 1 + (random() * random() * 179)::int, 'SKU-' || lpad(i::text, 7, '0'),
    (ARRAY['red', 'blue', 'small', 'large', 'old', 'new'])[1 + (random() * 5)::int] || ' thing ' || i,
    (3 + exp(random() * 6))::numeric(10, 2), random() < 0.15,
    jsonb_build_object('colour', (ARRAY['red', 'blue', 'green'])[1 + (random() * 2)::int],
        'weight', (random() * 5000)::int)
FROM generate_series(1, 8000) AS i;
INSERT INTO customer SELECT i, 'User' || i || '@Example' || i % 40 || '.com',
    (ARRAY['de', 'fr', 'us', 'us', 'us', 'pl', 'jp', 'br'])[1 + (random() * 7)::int],
    CASE WHEN random() < 0.8 THEN 'city ' || (exp(random() * 6))::int END,
    (ARRAY['new', 'usual', 'usual', 'usual', 'gold'])[1 + (random() * 4)::int],
    timestamptz '2020-01-01' + i * interval '75 minutes',
    CASE WHEN random() < 0.05 THEN timestamptz '2025-06-01' + random() * interval '200 days' END
FROM generate_series(1, 40000) AS i;
INSERT INTO orders SELECT i, 1 + (40000 * power(random(), 2.2))::int % 40000,
    CASE WHEN i > 147000 THEN (ARRAY['new', 'paid'])[1 + (random())::int]
        WHEN random() < 0.03 THEN 'cancelled' WHEN random() < 0.01 THEN 'returned' ELSE 'done' END,
    timestamptz '2023-01-01' + i * interval '10 minutes',
    CASE WHEN i <= 147000 THEN timestamptz '2023-01-03' + i * interval '10 minutes' END,
    (5 + exp(random() * 7))::numeric(12, 2), (random() * random() * 5)::int,
    CASE WHEN random() < 0.02 THEN 'gift for ' || i END
FROM generate_series(1, 150000) AS i;
INSERT INTO order_line SELECT 1 + i / 3, i % 3, 1 + (8000 * power(random(), 3))::int % 8000,
    1 + (random() * random() * 8)::int, (3 + exp(random() * 6))::numeric(10, 2), random() < 0.02
FROM generate_series(0, 449999) AS i;
INSERT INTO review SELECT i, 1 + (8000 * power(random(), 2))::int % 8000,
    1 + (random() * 39999)::int, 1 + (sqrt(random()) * 4)::int, repeat('word ', 3 + i % 17),
    timestamptz '2023-01-01' + i * interval '20 minutes'
FROM generate_series(1, 70000) AS i;
INSERT INTO visit SELECT i, CASE WHEN random() < 0.6 THEN 1 + (40000 * power(random(), 2.2))::int END,
    md5((i / 7)::text)::uuid, '/' || (ARRAY['home', 'product', 'product', 'cart', 'search'])
        [1 + (random() * 4)::int] || '/' || (exp(random() * 7))::int,
    timestamptz '2025-01-01' + i * interval '100 seconds', (exp(random() * 8))::int
FROM generate_series(1, 300000) AS i;
