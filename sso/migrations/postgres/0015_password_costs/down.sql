DROP INDEX users_password_cost;
