DROP TABLE signing_keys;
DROP TABLE requests;
DROP TABLE provisioning;
DROP TABLE verifications;
DROP TABLE identifiers;
DROP TABLE users;
