-- PostgreSQL checks a list of words as fast as alternatives: nothing is to change here.
SELECT 1;
