DROP INDEX notices_owed;
DROP INDEX provisioning_parked;
DROP INDEX provisioning_owed;
