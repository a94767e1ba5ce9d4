DROP TABLE owed;
DROP TABLE people;
