-- Entries by their type. Those of which every task has some are left out: they are found among the next
-- few anyway, and each would cost the write of its task another page.
CREATE INDEX events_by_type ON events (type, seq)
    WHERE type <> 'task.created' AND type <> 'task.queued' AND type <> 'task.started'
    AND type <> 'task.succeeded';
