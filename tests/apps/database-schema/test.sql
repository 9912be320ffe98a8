-- What other services may rely on.
DO $$
DECLARE
  bread integer := (SELECT id FROM products WHERE name = 'bread');
  refused boolean := false;
BEGIN
  ASSERT (SELECT count(*) FROM products) = 3, 'three products are there from the start';
  ASSERT (SELECT count(*) FROM orders) = 0, 'nothing is ordered yet';

  INSERT INTO orders (product_id, quantity) VALUES (bread, 2);
  ASSERT (SELECT quantity FROM orders WHERE product_id = bread AND created_at <= now()) = 2, 'an order is kept';

  BEGIN
    INSERT INTO orders (product_id, quantity) VALUES (-1, 1);
  EXCEPTION WHEN foreign_key_violation THEN refused := true;
  END;
  ASSERT refused, 'an order of an unknown product is refused';

  refused := false;
  BEGIN
    INSERT INTO orders (product_id, quantity) VALUES (bread, 0);
  EXCEPTION WHEN check_violation THEN refused := true;
  END;
  ASSERT refused, 'an order of nothing is refused';
END $$;
