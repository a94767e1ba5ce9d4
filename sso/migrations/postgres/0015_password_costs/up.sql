-- At which cost passwords were hashed, of which the highest is read at each start.
CREATE INDEX users_password_cost ON users (substr(password_hash, 5, 2));
