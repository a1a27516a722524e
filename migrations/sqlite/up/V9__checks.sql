-- A list of more than two words makes SQLite build a table of its own for every row that it checks;
-- alternatives cost a comparison each, the commonest first. What is allowed stays the same, so no row
-- is written anew: only the words of the schema change.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql,
    'CHECK (state IN (''blocked'', ''scheduled'', ''queued'', ''running'',
        ''waiting'', ''retrying'', ''succeeded'', ''failed'', ''cancelled'', ''timed_out'', ''dead''))',
    'CHECK (state = ''running'' OR state = ''succeeded'' OR state = ''queued'' OR
        state = ''scheduled'' OR state = ''blocked'' OR state = ''waiting'' OR
        state = ''retrying'' OR state = ''failed'' OR state = ''cancelled'' OR
        state = ''timed_out'' OR state = ''dead'')')
    WHERE type = 'table' AND name = 'tasks';
UPDATE sqlite_schema SET sql = replace(sql,
    'CHECK (outcome IN (''running'', ''succeeded'', ''failed'', ''timed_out'',
        ''interrupted'', ''crashed'', ''cancelled'', ''stale''))',
    'CHECK (outcome = ''running'' OR outcome = ''succeeded'' OR outcome = ''failed'' OR
        outcome = ''timed_out'' OR outcome = ''interrupted'' OR outcome = ''crashed'' OR
        outcome = ''cancelled'' OR outcome = ''stale'')')
    WHERE type = 'table' AND name = 'task_attempts';
UPDATE sqlite_schema SET sql = replace(sql,
    'CHECK (state IN (''waiting'', ''delivered'', ''undeliverable''))',
    'CHECK (state = ''waiting'' OR state = ''delivered'' OR state = ''undeliverable'')')
    WHERE type = 'table' AND name = 'messages';
PRAGMA writable_schema = RESET;
