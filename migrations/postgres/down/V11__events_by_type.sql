DROP INDEX events_by_type;
