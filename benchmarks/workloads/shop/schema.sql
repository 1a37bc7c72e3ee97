-- A shop as applications make them: surrogate keys, foreign keys without indexes, soft deletion.
CREATE TABLE category (
    id int PRIMARY KEY,
    parent_id int REFERENCES category,
    name text NOT NULL
);
CREATE TABLE product (
    id int PRIMARY KEY,
    category_id int NOT NULL REFERENCES category,
    sku text NOT NULL UNIQUE,
    name text NOT NULL,
    price numeric(10, 2) NOT NULL,
    discontinued boolean NOT NULL,
    attributes jsonb NOT NULL
);
CREATE TABLE customer (
    id int PRIMARY KEY,
    email text NOT NULL,
    country char(2) NOT NULL,
    city text,
    segment text NOT NULL,
    created_at timestamptz NOT NULL,
    deleted_at timestamptz
);
CREATE TABLE orders (
    id bigint PRIMARY KEY,
    customer_id int NOT NULL REFERENCES customer,
    status text NOT NULL,
    placed_at timestamptz NOT NULL,
    shipped_at timestamptz,
    total numeric(12, 2) NOT NULL,
    channel smallint NOT NULL,
    note text
);
CREATE TABLE order_line (
    order_id bigint NOT NULL REFERENCES orders,
    line int NOT NULL,
    product_id int NOT NULL REFERENCES product,
    quantity int NOT NULL,
    price numeric(10, 2) NOT NULL,
    returned boolean NOT NULL,
    PRIMARY KEY (order_id, line)
);
CREATE TABLE review (
    id int PRIMARY KEY,
    product_id int NOT NULL REFERENCES product,
    customer_id int NOT NULL REFERENCES customer,
    stars smallint NOT NULL,
    body text NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE TABLE visit (
    id bigint,
    customer_id int,
    session uuid NOT NULL,
    page text NOT NULL,
    at timestamptz NOT NULL,
    milliseconds int NOT NULL
) PARTITION BY RANGE (at);
CREATE TABLE visit_2025_h1 PARTITION OF visit FOR VALUES FROM ('2025-01-01') TO ('2025-07-01');
CREATE TABLE visit_2025_h2 PARTITION OF visit FOR VALUES FROM ('2025-07-01') TO ('2026-01-01');
CREATE VIEW open_orders AS
    SELECT o.id, o.customer_id, o.placed_at, o.total, c.country, c.segment
    FROM orders o JOIN customer c ON c.id = o.customer_id
    WHERE o.status IN ('new', 'paid') AND c.deleted_at IS NULL;
