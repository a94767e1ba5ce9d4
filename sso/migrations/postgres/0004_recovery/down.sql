DROP TABLE tallies;
DROP TABLE resets;
