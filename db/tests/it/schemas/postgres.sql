WITH tables AS (
    SELECT oid, relname::text AS name FROM pg_class
     WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND relname <> '__diesel_schema_migrations'
),
indexes AS (
    SELECT t.name AS "table", x.indisprimary, x.indisunique, x.indpred IS NOT NULL AS partial,
           (SELECT string_agg(coalesce(a.attname::text, '<expression>')
                              || CASE WHEN x.indoption[k.place - 1] & 1 = 1 THEN ' desc' ELSE '' END, ', ' ORDER BY k.place)
              FROM unnest(x.indkey::int2[]) WITH ORDINALITY k(number, place)
              LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.number AND k.number > 0
             WHERE k.place <= x.indnkeyatts) AS columns
      FROM tables t JOIN pg_index x ON x.indrelid = t.oid
)
-- By the names that SQLite has for what it stores.
SELECT t.name || '.' || a.attname || ' '
       || CASE WHEN a.atttypid IN ('uuid'::regtype, 'bytea'::regtype) THEN 'blob' WHEN a.atttypid = 'text'::regtype THEN 'text'
               WHEN a.atttypid IN ('boolean'::regtype, 'smallint'::regtype, 'integer'::regtype, 'bigint'::regtype,
                                   'timestamptz'::regtype) THEN 'integer'
               ELSE format_type(a.atttypid, a.atttypmod) END
       || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END || CASE WHEN a.atthasdef THEN ' default' ELSE '' END AS line
  FROM tables t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT "table" || CASE WHEN indisprimary THEN ' primary key (' WHEN indisunique THEN ' unique (' ELSE ' index (' END || columns || ')'
       || CASE WHEN partial THEN ' of some' ELSE '' END
  FROM indexes
UNION ALL
SELECT t.name || '.' || a.attname || ' references ' || other.name || '.' || b.attname || ' on delete '
       || CASE f.confdeltype WHEN 'a' THEN 'no action' WHEN 'r' THEN 'restrict' WHEN 'c' THEN 'cascade' WHEN 'n' THEN 'set null'
                             ELSE 'set default' END
  FROM pg_constraint f
  JOIN tables t ON t.oid = f.conrelid
  JOIN tables other ON other.oid = f.confrelid
  JOIN LATERAL unnest(f.conkey, f.confkey) k(ours, theirs) ON true
  JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.ours
  JOIN pg_attribute b ON b.attrelid = other.oid AND b.attnum = k.theirs
 WHERE f.contype = 'f'
