PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql,
    'CHECK (state = ''running'' OR state = ''succeeded'' OR state = ''queued'' OR
        state = ''scheduled'' OR state = ''blocked'' OR state = ''waiting'' OR
        state = ''retrying'' OR state = ''failed'' OR state = ''cancelled'' OR
        state = ''timed_out'' OR state = ''dead'')',
    'CHECK (state IN (''blocked'', ''scheduled'', ''queued'', ''running'',
        ''waiting'', ''retrying'', ''succeeded'', ''failed'', ''cancelled'', ''timed_out'', ''dead''))')
    WHERE type = 'table' AND name = 'tasks';
UPDATE sqlite_schema SET sql = replace(sql,
    'CHECK (outcome = ''running'' OR outcome = ''succeeded'' OR outcome = ''failed'' OR
        outcome = ''timed_out'' OR outcome = ''interrupted'' OR outcome = ''crashed'' OR
        outcome = ''cancelled'' OR outcome = ''stale'')',
    'CHECK (outcome IN (''running'', ''succeeded'', ''failed'', ''timed_out'',
        ''interrupted'', ''crashed'', ''cancelled'', ''stale''))')
    WHERE type = 'table' AND name = 'task_attempts';
UPDATE sqlite_schema SET sql = replace(sql,
    'CHECK (state = ''waiting'' OR state = ''delivered'' OR state = ''undeliverable'')',
    'CHECK (state IN (''waiting'', ''delivered'', ''undeliverable''))')
    WHERE type = 'table' AND name = 'messages';
PRAGMA writable_schema = RESET;
