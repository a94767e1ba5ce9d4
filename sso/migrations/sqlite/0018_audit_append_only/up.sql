-- PostgreSQL refuses an UPDATE from here on, as SQLite does.
SELECT 1;
