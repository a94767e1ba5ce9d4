DROP INDEX users_listed;
