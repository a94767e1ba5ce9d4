WITH tables AS (
    SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> '__diesel_schema_migrations'
),
indexes AS (
    SELECT t.name AS "table", i."unique", i.partial,
           (SELECT group_concat(coalesce(k.name, '<expression>') || CASE k."desc" WHEN 1 THEN ' desc' ELSE '' END, ', ')
              FROM (SELECT * FROM pragma_index_xinfo(i.name) WHERE "key" = 1 ORDER BY seqno) k) AS columns
      FROM tables t, pragma_index_list(t.name) i
     WHERE i.origin <> 'pk'
)
SELECT t.name || '.' || c.name || ' ' || lower(c.type) || CASE c."notnull" WHEN 1 THEN ' not null' ELSE '' END
       || CASE WHEN c.dflt_value IS NULL THEN '' ELSE ' default' END AS line
  FROM tables t, pragma_table_info(t.name) c
UNION ALL
SELECT t.name || ' primary key ('
       || (SELECT group_concat(k.name, ', ') FROM (SELECT name FROM pragma_table_info(t.name) WHERE pk > 0 ORDER BY pk) k) || ')'
  FROM tables t
UNION ALL
SELECT "table" || CASE "unique" WHEN 1 THEN ' unique (' ELSE ' index (' END || columns || ')'
       || CASE partial WHEN 1 THEN ' of some' ELSE '' END
  FROM indexes
UNION ALL
SELECT t.name || '.' || f."from" || ' references ' || f."table" || '.' || f."to" || ' on delete ' || lower(f.on_delete)
  FROM tables t, pragma_foreign_key_list(t.name) f
