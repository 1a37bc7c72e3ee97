SELECT id, email, country FROM customer WHERE lower(email) = 'user1234@example34.com';
SELECT * FROM orders WHERE customer_id = 4711 ORDER BY placed_at DESC LIMIT 20;
SELECT count(*) FROM orders WHERE status = 'new';
SELECT id, placed_at, total FROM orders WHERE status = 'paid' ORDER BY placed_at LIMIT 50;
SELECT o.id, o.total, l.product_id, l.quantity FROM orders o JOIN order_line l ON l.order_id = o.id
WHERE o.customer_id = 99 AND o.placed_at >= '2025-01-01';
SELECT p.id, p.name, avg(r.stars), count(*) FROM product p JOIN review r ON r.product_id = p.id
WHERE p.category_id = 17 AND NOT p.discontinued GROUP BY p.id, p.name ORDER BY 3 DESC LIMIT 10;
SELECT * FROM review WHERE product_id = 321 ORDER BY created_at DESC, id DESC LIMIT 5;
SELECT sum(l.quantity * l.price) FROM order_line l WHERE l.product_id = 77;
SELECT p.id, p.name FROM product p
WHERE NOT EXISTS (SELECT FROM order_line l WHERE l.product_id = p.id AND l.returned);
SELECT country, count(*), sum(total) FROM open_orders GROUP BY country;
SELECT * FROM open_orders WHERE segment = 'gold' AND total > 900 ORDER BY total DESC LIMIT 25;
SELECT c.id, c.email FROM customer c WHERE c.deleted_at IS NULL AND c.country = 'jp'
    AND c.city = 'city 7';
SELECT date_trunc('month', placed_at) AS month, channel, sum(total) FROM orders
WHERE placed_at >= '2025-03-01' AND placed_at < '2025-09-01' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT customer_id, count(*) FROM orders WHERE status = 'returned' GROUP BY customer_id
HAVING count(*) > 1;
SELECT o.* FROM orders o WHERE o.note IS NOT NULL AND o.placed_at > '2025-10-01';
SELECT * FROM orders WHERE shipped_at IS NULL ORDER BY placed_at LIMIT 100;
SELECT count(DISTINCT session) FROM visit WHERE at >= '2025-11-01' AND at < '2025-11-08';
SELECT page, count(*), avg(milliseconds) FROM visit
WHERE customer_id = 5 AND at >= '2025-07-01' GROUP BY page;
SELECT * FROM visit WHERE session = md5('12345')::uuid ORDER BY at;
SELECT page, max(milliseconds) FROM visit WHERE page LIKE '/search/1%' AND milliseconds > 2000
GROUP BY page ORDER BY 2 DESC LIMIT 10;
SELECT p.* FROM product p WHERE p.attributes ->> 'colour' = 'red' AND p.price BETWEEN 20 AND 21;
SELECT c.segment, count(*) FROM customer c JOIN orders o ON o.customer_id = c.id
WHERE o.placed_at >= '2025-11-01' AND (o.status = 'cancelled' OR o.total > 1000) GROUP BY c.segment;
SELECT c.id, latest.id, latest.placed_at FROM customer c
CROSS JOIN LATERAL (SELECT o.id, o.placed_at FROM orders o WHERE o.customer_id = c.id
    ORDER BY o.placed_at DESC LIMIT 1) AS latest
WHERE c.created_at BETWEEN '2022-02-01' AND '2022-02-04';
WITH best AS (SELECT l.product_id, sum(l.quantity) AS sold FROM order_line l
    JOIN orders o ON o.id = l.order_id WHERE o.placed_at >= '2025-10-20' GROUP BY l.product_id)
SELECT p.name, b.sold FROM best b JOIN product p ON p.id = b.product_id
WHERE p.category_id IN (3, 5, 8) ORDER BY b.sold DESC LIMIT 20;
SELECT r.customer_id, count(*) FROM review r WHERE r.stars = 1 AND r.created_at >= '2025-05-01'
GROUP BY r.customer_id ORDER BY 2 DESC LIMIT 10;
SELECT child.name, count(p.id) FROM category parent JOIN category child ON child.parent_id = parent.id
LEFT JOIN product p ON p.category_id = child.id WHERE parent.name = 'category 4' GROUP BY child.name;
SELECT o.id FROM orders o WHERE o.customer_id IN (12, 345, 6789, 1011) AND o.status <> 'done';
SELECT id, rank() OVER (PARTITION BY category_id ORDER BY price DESC) FROM product
WHERE category_id = 40;
SELECT max(placed_at) FROM orders WHERE channel = 4;
SELECT o.customer_id, sum(l.quantity * l.price) AS spent FROM orders o
JOIN order_line l ON l.order_id = o.id JOIN product p ON p.id = l.product_id
WHERE p.sku = 'SKU-0000042' GROUP BY o.customer_id ORDER BY spent DESC LIMIT 10;
UPDATE orders SET status = 'paid' WHERE id = 149500 AND status = 'new';
DELETE FROM visit WHERE at < '2025-01-02' AND customer_id IS NULL;
