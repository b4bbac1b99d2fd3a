-- northwind, variant "cyclic": core + employees.reports_to -> employees.employee_id (self reference, upward to the top).
-- The folder of cases names this query in graph.json and doesn't hold it; :'phone' is the identity.
create temp table o_customers as select * from customers where phone = nullif(:'phone','') or fax = nullif(:'phone','');
create temp table o_orders as select o.* from orders o where o.customer_id in (select customer_id from o_customers);
create temp table o_order_details as select d.* from order_details d where d.order_id in (select order_id from o_orders);
create temp table o_products as select p.* from products p where p.product_id in (select product_id from o_order_details);
create temp table o_categories as select c.* from categories c where c.category_id in (select category_id from o_products);
create temp table o_suppliers as select s.* from suppliers s
  where s.phone = nullif(:'phone','') or s.fax = nullif(:'phone','') or s.supplier_id in (select supplier_id from o_products);
create temp table o_shippers as select s.* from shippers s
  where s.phone = nullif(:'phone','') or s.shipper_id in (select ship_via from o_orders);
create temp table o_employees as
with recursive reach(id, boss) as (
    select employee_id, reports_to from employees where home_phone = nullif(:'phone','')
  union
    select e.employee_id, e.reports_to from employees e join reach on e.employee_id = reach.boss
)
select * from employees where employee_id in (select id from reach);
create temp table o_employee_territories as select et.* from employee_territories et where et.employee_id in (select employee_id from o_employees);
create temp table o_territories as select t.* from territories t where t.territory_id in (select territory_id from o_employee_territories);
create temp table o_region as select r.* from region r where r.region_id in (select region_id from o_territories);
create temp table o_customer_customer_demo as select x.* from customer_customer_demo x where x.customer_id in (select customer_id from o_customers);
create temp table o_customer_demographics as select d.* from customer_demographics d where d.customer_type_id in (select customer_type_id from o_customer_customer_demo);
