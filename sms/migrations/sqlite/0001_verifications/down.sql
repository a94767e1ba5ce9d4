DROP TABLE destinations;
DROP TABLE guesses;
DROP TABLE sends;
DROP TABLE verifications;
