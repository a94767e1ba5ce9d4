DROP INDEX users_unverified;
DROP TABLE tombstones;
